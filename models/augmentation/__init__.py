"""Changes of a training image that leave its labels true."""
