"""`sandbox help filters`."""

TEXT = """\
--filter KEY=VALUE (-f) of listings, of events and of prune. Several values of one key: any of them. Several keys: all
of them. Several labels: all of them. A key that is not known is an error, not an empty list.

    ps          id name label exited status ancestor before since volume network publish expose health
    images      dangling label before since reference until
    volume ls   dangling driver label name
    network ls  dangling driver id label name scope type
    events      container image volume network type event label scope daemon
    prune       until label label!   (volume prune: label label! all; image prune also dangling)

    sandbox ps -a -f status=exited -f status=created    those that do not run
    sandbox ps -a -f status=exited -f exited=0          those that ended well
    sandbox ps -f name=^web                             a name is a regular expression
    sandbox ps -f label=stage=test -f label=team        both labels, of the second any value
    sandbox ps -f publish=8080                          who has that port of this machine
    sandbox ps -f ancestor=busybox                      made of this image, or of one that was built on it
    sandbox ps -q -f volume=data                        who mounts it, by name or by the place in the container
    sandbox images -f reference='team/*' -f dangling=false
    sandbox images -f before=app:2
    sandbox container prune -f --filter until=24h       which are older than a day
    sandbox image prune -a --filter label!=keep         all but those with this label

Times are Unix seconds, 2026-01-02T15:04:05Z with parts left out, or a duration ago: 90s, 10m, 1h30m.
"""
