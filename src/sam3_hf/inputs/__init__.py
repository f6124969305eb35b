"""What users hand over (images, maps, texts, boxes), made into tensors."""
