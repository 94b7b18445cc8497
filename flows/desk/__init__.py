"""The operators' desk: pages in Prefect that show where everybody stands, without anybody reading logs.

The renderers are pure: figures of the store go in, markdown comes out. What customers and lists supply is escaped, and
nothing here knows an auth value or a consent link; a page names the command that shows or changes something.
"""
