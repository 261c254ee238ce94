"""What the user sees: panels."""
