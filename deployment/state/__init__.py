"""What AWS should hold of an application, and what it holds."""
