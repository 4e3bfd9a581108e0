"""How commands print: tables, documents, templates."""
