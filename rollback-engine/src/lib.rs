//! Drives rollbacks: durable steps, leases, resume after a crash, observation, paced notifications.
