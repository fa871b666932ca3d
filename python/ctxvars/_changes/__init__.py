"""The changes that code makes to variables: comparing, applying, collecting and merging them."""
