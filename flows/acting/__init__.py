"""What operators do from Prefect's pages: every flow here is a form there, and only calls the store's verbs.

Nothing here speaks to Alloy. What is let go falls due at once, and is driven by the next run that resumes.
"""
