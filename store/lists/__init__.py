"""Customer lists and mapping files: read, checked row by row, every fault told with its line, column and remedy."""
