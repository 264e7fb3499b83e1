"""One module per figure of the README's performance table."""
