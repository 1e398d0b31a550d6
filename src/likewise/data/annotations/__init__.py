"""Masks and boxes of images: folders of masks, COCO JSON, Pascal VOC XML, YOLO text and tables as one typed form."""
