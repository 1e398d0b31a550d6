"""Masks and boxes of images: folders of masks, COCO JSON, Pascal VOC XML and YOLO text as one typed form."""
