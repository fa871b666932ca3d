"""Why a variable is missing, where its value was set, and who keeps a context alive."""
