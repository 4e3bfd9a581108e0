"""Images made of containers: what a container changed becomes a layer over its image's, by the means of builds."""
