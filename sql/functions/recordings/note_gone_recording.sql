CREATE OR REPLACE FUNCTION agi_router.note_gone_recording() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO agi_router.recording_gone (name, vault) VALUES (NEW.name, NEW.vault) ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION agi_router.note_gone_recording IS 'Has the file of a recording whose key was destroyed be removed; in the database that has its row, which may be a cell''s';

CREATE OR REPLACE TRIGGER note_gone_recording
    AFTER UPDATE OF sealed_key ON agi_router.recording FOR EACH ROW
    WHEN (OLD.sealed_key IS NOT NULL AND NEW.sealed_key IS NULL AND NEW.vault IS NOT NULL)
    EXECUTE FUNCTION agi_router.note_gone_recording();
