"""The subset of Go's text/template that `--format` and Swarm's templates are written in, with Docker's own functions.

    lexer.py      text and actions, actions into tokens
    parser.py     tokens into nodes
    nodes.py      what a template is made of
    evaluate.py   nodes and data into text
    functions.py  len, index, eq, printf, json, pad, …
    printing.py   values as Go's fmt prints them
    kinds.py      structures, and null as a list, a map or a pointer
    shapes.py     which fields data may have

Left out: methods of Go types. Data is JSON-plain; a mapping's value may be a function,
for a field that takes arguments (`{{.Label "name"}}`).
"""

from sandbox.go_template.errors import TemplateError, TemplateParseError, UnknownFieldError, template_mend
from sandbox.go_template.evaluate import Template, parse_template
from sandbox.go_template.shapes import STRUCTURES, Shape

__all__ = [
    "STRUCTURES",
    "Shape",
    "Template",
    "TemplateError",
    "TemplateParseError",
    "UnknownFieldError",
    "parse_template",
    "template_mend",
]
