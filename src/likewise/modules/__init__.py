"""What several methods share: copies that follow, memories, prototypes, temperatures, quantizers, critics, heads."""
