"""The Compose file: how services, networks, volumes, secrets and configs belong together, as values.

    text -> yaml_reading -> nodes -> interpolation -> include, extends, merging -> tree       loading
    tree -> shapes, scalar_readers, short_forms in the tables of *_keys -> values of *model   file_keys
    values -> normalising -> consistency -> selecting -> service_files -> Project             operations
    Project -> canonical form, hash; requests of containers                                   canonical, request

Nothing here runs a container or asks what runs. Every value of a file knows its line until it is read; after that
`Project.places` does, by its path ("services.web.ports[1]").
"""
