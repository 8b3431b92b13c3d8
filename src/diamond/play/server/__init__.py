"""The page, its rooms and the messages between them."""
