-- The two-digit number that a device shows and that the approving user enters; NULL if none is asked for.
ALTER TABLE devices ADD COLUMN match_number INTEGER;
