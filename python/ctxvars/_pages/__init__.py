"""Pages that commands write: one HTML file each, which loads nothing from the network.

`document` puts data, styles and a script into a page, `escape` makes any text harmless, and
`colours` divides Python source into tokens. In `static`, `page.html` and `theme.css` belong to all
pages, and each other file to the page with its name.
"""
