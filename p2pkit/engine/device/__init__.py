"""Where and in which arithmetic networks compute; imports only the distributed room."""
