"""The generated sample dataset in the layout of any release."""
