"""What each kernel is measured against: one module an operation."""
