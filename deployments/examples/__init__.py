"""Customer lists to begin from: every name and value in them is made up."""
