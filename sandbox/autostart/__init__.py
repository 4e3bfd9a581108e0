"""Containers brought back after a reboot: what has the machine start them, and which they are.

No daemon of ours runs, so the machine's own means are asked, and only when a person wants it: a unit of the user's
systemd manager, or an entry of the user's crontab. Both run `sandbox system autostart run`.
"""
