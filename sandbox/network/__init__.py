"""Networks: their records, the addresses that containers have on them, and who holds the user's router."""
