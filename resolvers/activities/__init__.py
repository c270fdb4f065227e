"""The state machine of activities: claims, leases, attempts, reports, logs and subscriptions."""
