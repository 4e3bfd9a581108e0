"""Images as files: archives, layouts, file system archives; read and written."""
