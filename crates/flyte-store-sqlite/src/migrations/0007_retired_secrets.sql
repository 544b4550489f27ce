-- Secrets that were rotated out stand among those of deleted keys. `deleted_at` is when the secret ceased to work, which an
-- overlap puts into the future.
ALTER TABLE deleted_api_keys ADD COLUMN reason TEXT NOT NULL DEFAULT 'deleted'; -- or 'rotated'
