"""The science: numpy, torch and scikit-image; knows no files, no orchestration."""
