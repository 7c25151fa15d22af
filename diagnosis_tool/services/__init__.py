"""One module a use case; they take storage and a Classifier as arguments."""
