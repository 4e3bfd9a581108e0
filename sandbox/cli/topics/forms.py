"""`sandbox help format`."""

TEXT = """\
Listings and inspect take --format, in Docker's words:

    table               the table, which is also what is printed without --format
    table TEMPLATE      a table of these columns: sandbox ps --format 'table {{.Names}}\\t{{.Status}}'
    json                one object on each line; of inspect: all of them, on one line
    TEMPLATE            a Go template for each

A template has fields, functions and blocks:
    {{.Names}}                                  a field
    {{json .}}                                  everything there is, with the names of its fields
    {{.Label "com.example.team"}}               a label, of ps and volume ls
    {{index .Config.Labels "com.example.team"}} an entry of a map, whatever is in its name
    {{(index .Mounts 0).Source}}                of the first of a list
    {{if eq .State "running"}}up{{else}}down{{end}}
    {{range .Mounts}}{{.Source}} {{end}}
    {{range $port, $where := .NetworkSettings.Ports}}{{$port}} {{end}}
    {{with .State.Health}}{{.Status}}{{else}}no check{{end}}
    {{- .Names -}}                              without the blanks around it
    {{/* nothing is printed of this */}}

Functions: json split join title lower upper pad truncate println print printf len index slice
           eq ne lt le gt ge and or not html urlquery

    sandbox inspect -f '{{json .NetworkSettings.Ports}}' web
    sandbox images --format '{{.Repository}}:{{.Tag}} {{.Size}}'
    sandbox ps -a --format '{{.Names | printf "%-20s"}} {{.Status}}'

A field that is not there is an error, which names those that are.
"""
