-- Clients of others that people may let keep API keys and trust rules in their name. First-party ones always may.
ALTER TABLE clients ADD COLUMN may_keep_api_keys INTEGER NOT NULL DEFAULT 0;
-- `alg` of the ID tokens that the client gets; NULL for the server's own choice.
ALTER TABLE clients ADD COLUMN id_token_signed_response_alg TEXT;
-- How many seconds ago the person who approves may have signed in; NULL for any time.
ALTER TABLE devices ADD COLUMN max_age INTEGER;
