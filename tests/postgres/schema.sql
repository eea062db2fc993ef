-- The schema as pg_dump of PostgreSQL 15 tells it, without days of calls, events and texts, and
-- without functions: these have files of their own. Written by:
-- ./tests/run postgres -- -k test_schema --write-schema

CREATE SCHEMA agi_router;

COMMENT ON SCHEMA agi_router IS 'Number protection service: bindings of 700 numbers, and calls';

CREATE TYPE agi_router.facts AS (
	admitted boolean,
	now timestamp with time zone,
	block_known boolean,
	certificate_valid boolean,
	x_bound boolean,
	x_extended boolean,
	binding_id bigint,
	tenant_id integer,
	mode text,
	side text,
	caller_tag bigint,
	callee bytea,
	last_callee bytea,
	last_at timestamp with time zone,
	shown bigint,
	child_until timestamp with time zone,
	state text,
	direction text,
	begins_at timestamp with time zone,
	expires_at timestamp with time zone,
	ended_at timestamp with time zone,
	max_calls integer,
	calls_used integer,
	callback text,
	callback_window integer,
	display text,
	ring_timeout integer,
	max_duration integer,
	language text,
	prompts text,
	tenant_active boolean,
	sequence integer,
	tell_answer boolean,
	tenant_check boolean,
	locks jsonb,
	limits jsonb,
	tenant_qualified boolean,
	notice boolean,
	record boolean
);

COMMENT ON TYPE agi_router.facts IS 'What is known of one caller on one number at one moment; binding_id and what follows are null for a stranger; sequence: of the event to be written of an admission, null where none is; tell_answer: whether its tenant is told of the callee''s answer; tenant_check: whether its tenant has a check of its own; locks: those in force that were found by the numbers, the tenant and the tags, see agi_router.describe_locks; limits: hours and rates that hold for it, see agi_router.describe_limits, null where there are none; tenant_qualified: whether its tenant''s qualification is valid; notice: whether both hear the anti-fraud notice before they are joined; record: whether calls are to be recorded';

CREATE TABLE agi_router.answer (
    name bytea NOT NULL,
    payload bytea NOT NULL,
    status smallint,
    headers jsonb,
    body text,
    made_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT answer_name_check CHECK ((length(name) = 32)),
    CONSTRAINT answer_payload_check CHECK ((length(payload) = 32))
);

COMMENT ON TABLE agi_router.answer IS 'Answers of the HTTP door to requests that have made something, by their Idempotency-Key; kept for a day';

COMMENT ON COLUMN agi_router.answer.name IS 'Keyed hash of who has asked and of the Idempotency-Key';

COMMENT ON COLUMN agi_router.answer.payload IS 'Keyed hash of what was asked';

COMMENT ON COLUMN agi_router.answer.status IS 'Status of the answer';

COMMENT ON COLUMN agi_router.answer.headers IS 'Headers of the answer';

COMMENT ON COLUMN agi_router.answer.body IS 'The answer; numbers of parties are masked in it';

COMMENT ON COLUMN agi_router.answer.made_at IS 'When it was given';

CREATE TABLE agi_router.api_key (
    id text NOT NULL,
    tenant_id integer,
    place smallint NOT NULL,
    form text NOT NULL,
    label text NOT NULL,
    scopes text[] NOT NULL,
    networks cidr[] NOT NULL,
    max_binds integer,
    max_requests integer,
    digest bytea,
    sealed bytea,
    state text DEFAULT 'active'::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    begins_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    revoked_at timestamp with time zone,
    last_used_at timestamp with time zone,
    signed_until timestamp with time zone,
    CONSTRAINT api_key_digest_check CHECK ((length(digest) = 32)),
    CONSTRAINT api_key_form_check CHECK ((form = ANY (ARRAY['bearer'::text, 'signed'::text, 'acs3'::text]))),
    CONSTRAINT api_key_id_check CHECK ((id ~ '^[a-z]{16}$'::text)),
    CONSTRAINT api_key_max_binds_check CHECK ((max_binds > 0)),
    CONSTRAINT api_key_max_requests_check CHECK ((max_requests > 0)),
    CONSTRAINT api_key_place_check CHECK (((place >= 1) AND (place <=
CASE
    WHEN (tenant_id IS NULL) THEN 6
    ELSE 2
END))),
    CONSTRAINT api_key_secret_check CHECK ((((digest IS NOT NULL) = (form = 'bearer'::text)) AND ((sealed IS NOT NULL) = (form <> 'bearer'::text)))),
    CONSTRAINT api_key_state_check CHECK ((state = ANY (ARRAY['active'::text, 'expired'::text, 'revoked'::text])))
);

COMMENT ON TABLE agi_router.api_key IS 'What programs prove themselves with at the HTTP door';

COMMENT ON COLUMN agi_router.api_key.id IS 'Key; letters only';

COMMENT ON COLUMN agi_router.api_key.tenant_id IS 'Whose it is; null: the operator''s, for all tenants';

COMMENT ON COLUMN agi_router.api_key.place IS 'Which of those that its owner may have at once: two of a tenant, six of the operator';

COMMENT ON COLUMN agi_router.api_key.form IS 'bearer: the secret is shown; signed: requests are signed with it; acs3: the same, but not by the older RPC 1.0';

COMMENT ON COLUMN agi_router.api_key.label IS 'What people call it';

COMMENT ON COLUMN agi_router.api_key.scopes IS 'What it may do';

COMMENT ON COLUMN agi_router.api_key.networks IS 'Where requests may come from; empty: from anywhere';

COMMENT ON COLUMN agi_router.api_key.max_binds IS 'So many bindings may it make on a day; null: any number';

COMMENT ON COLUMN agi_router.api_key.max_requests IS 'So many requests may it make in a minute, at each process of the HTTP door; null: the door''s setting alone holds';

COMMENT ON COLUMN agi_router.api_key.digest IS 'SHA-256 of a bearer''s secret';

COMMENT ON COLUMN agi_router.api_key.sealed IS 'The secret that requests are signed with, sealed';

COMMENT ON COLUMN agi_router.api_key.state IS 'active, or what ended it; one whose time is over may still be called active';

COMMENT ON COLUMN agi_router.api_key.created_at IS 'When it was made';

COMMENT ON COLUMN agi_router.api_key.begins_at IS 'It opens nothing before; who was let in once need not look any more';

COMMENT ON COLUMN agi_router.api_key.expires_at IS 'When it ends by time';

COMMENT ON COLUMN agi_router.api_key.revoked_at IS 'When it was revoked; null: it was not';

COMMENT ON COLUMN agi_router.api_key.last_used_at IS 'When it was used last, to the minute; null: not yet';

COMMENT ON COLUMN agi_router.api_key.signed_until IS 'No nonce of a later date was taken; null: none at all. It is ahead of those that were, so that it is seldom written';

CREATE TABLE agi_router.api_key_use (
    key_id text NOT NULL,
    day date NOT NULL,
    binds integer NOT NULL
)
WITH (fillfactor='50');

COMMENT ON TABLE agi_router.api_key_use IS 'How many bindings were made with API keys that have a quota';

COMMENT ON COLUMN agi_router.api_key_use.key_id IS 'With which';

COMMENT ON COLUMN agi_router.api_key_use.day IS 'The last day (UTC) on which any was made';

COMMENT ON COLUMN agi_router.api_key_use.binds IS 'How many on that day';

CREATE TABLE agi_router.appeal (
    id bigint NOT NULL,
    lock_id bigint NOT NULL,
    tenant_id integer,
    state text NOT NULL,
    note text,
    filed_by text NOT NULL,
    filed_at timestamp with time zone NOT NULL,
    state_at timestamp with time zone NOT NULL,
    deadline_at timestamp with time zone,
    overdue boolean DEFAULT false NOT NULL,
    reviewer text,
    decided_by text,
    decision_note text,
    CONSTRAINT appeal_decided_by_check CHECK (((length(decided_by) >= 1) AND (length(decided_by) <= 128))),
    CONSTRAINT appeal_decision_note_check CHECK (((length(decision_note) >= 1) AND (length(decision_note) <= 500))),
    CONSTRAINT appeal_filed_by_check CHECK (((length(filed_by) >= 1) AND (length(filed_by) <= 128))),
    CONSTRAINT appeal_note_check CHECK (((length(note) >= 1) AND (length(note) <= 500))),
    CONSTRAINT appeal_reviewer_check CHECK (((length(reviewer) >= 1) AND (length(reviewer) <= 128))),
    CONSTRAINT appeal_state_check CHECK ((state = ANY (ARRAY['filed'::text, 'evidence_complete'::text, 'in_review'::text, 'lifted'::text, 'upheld'::text, 'withdrawn'::text, 'lapsed'::text])))
);

COMMENT ON TABLE agi_router.appeal IS 'Appeals against locks, those that are over too';

COMMENT ON COLUMN agi_router.appeal.id IS 'Key';

COMMENT ON COLUMN agi_router.appeal.lock_id IS 'The lock';

COMMENT ON COLUMN agi_router.appeal.tenant_id IS 'The tenant that has filed it; null: the operator';

COMMENT ON COLUMN agi_router.appeal.state IS 'What has become of it';

COMMENT ON COLUMN agi_router.appeal.note IS 'What the person says';

COMMENT ON COLUMN agi_router.appeal.filed_by IS 'The user of a host, or the API key, that has filed it';

COMMENT ON COLUMN agi_router.appeal.filed_at IS 'When it was filed';

COMMENT ON COLUMN agi_router.appeal.state_at IS 'Since when it is in its state';

COMMENT ON COLUMN agi_router.appeal.deadline_at IS 'Until when the next step is due; null: none is';

COMMENT ON COLUMN agi_router.appeal.overdue IS 'Whether it was told that the step is late';

COMMENT ON COLUMN agi_router.appeal.reviewer IS 'Who reviews it, not who has set the lock';

COMMENT ON COLUMN agi_router.appeal.decided_by IS 'Who has ended it; null: nobody yet, or the clock';

COMMENT ON COLUMN agi_router.appeal.decision_note IS 'Why';

CREATE TABLE agi_router.appeal_evidence (
    appeal_id bigint NOT NULL,
    kind text NOT NULL,
    reference text NOT NULL,
    digest bytea NOT NULL,
    added_by text NOT NULL,
    added_at timestamp with time zone NOT NULL,
    CONSTRAINT appeal_evidence_added_by_check CHECK (((length(added_by) >= 1) AND (length(added_by) <= 128))),
    CONSTRAINT appeal_evidence_digest_check CHECK ((length(digest) = 32)),
    CONSTRAINT appeal_evidence_reference_check CHECK (((length(reference) >= 1) AND (length(reference) <= 128)))
);

COMMENT ON TABLE agi_router.appeal_evidence IS 'What appeals are backed with; the papers themselves are elsewhere';

COMMENT ON COLUMN agi_router.appeal_evidence.appeal_id IS 'The appeal';

COMMENT ON COLUMN agi_router.appeal_evidence.kind IS 'Which piece of evidence it is';

COMMENT ON COLUMN agi_router.appeal_evidence.reference IS 'Where it lies, in the words of whoever has added it';

COMMENT ON COLUMN agi_router.appeal_evidence.digest IS 'SHA-256 of what lies there';

COMMENT ON COLUMN agi_router.appeal_evidence.added_by IS 'The user of a host, or the API key, that has added it';

COMMENT ON COLUMN agi_router.appeal_evidence.added_at IS 'When it was added';

CREATE SEQUENCE agi_router.appeal_id
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

COMMENT ON SEQUENCE agi_router.appeal_id IS 'Numbers of appeals; gaps mean nothing';

CREATE TABLE agi_router.appeal_rebind (
    appeal_id bigint NOT NULL,
    block bigint NOT NULL,
    binding_id bigint NOT NULL,
    new_block bigint NOT NULL,
    new_binding_id bigint NOT NULL,
    tenant_id integer NOT NULL,
    rebound_by text NOT NULL,
    rebound_at timestamp with time zone NOT NULL,
    CONSTRAINT appeal_rebind_rebound_by_check CHECK (((length(rebound_by) >= 1) AND (length(rebound_by) <= 128)))
);

COMMENT ON TABLE agi_router.appeal_rebind IS 'Bindings that were carried over to another number as an appeal was upheld; either may be deleted before';

COMMENT ON COLUMN agi_router.appeal_rebind.appeal_id IS 'The appeal';

COMMENT ON COLUMN agi_router.appeal_rebind.block IS 'Block of the binding that has ended';

COMMENT ON COLUMN agi_router.appeal_rebind.binding_id IS 'The binding that has ended';

COMMENT ON COLUMN agi_router.appeal_rebind.new_block IS 'Block of the one that was made';

COMMENT ON COLUMN agi_router.appeal_rebind.new_binding_id IS 'The one that was made';

COMMENT ON COLUMN agi_router.appeal_rebind.tenant_id IS 'Whose bindings they are';

COMMENT ON COLUMN agi_router.appeal_rebind.rebound_by IS 'The user of a host, or the API key, that has done it';

COMMENT ON COLUMN agi_router.appeal_rebind.rebound_at IS 'When that was';

CREATE TABLE agi_router.attempt (
    webhook_id bigint NOT NULL,
    event_id bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    tries integer NOT NULL,
    status integer,
    ms integer NOT NULL,
    why text,
    CONSTRAINT attempt_why_check CHECK ((length(why) <= 200))
);

COMMENT ON TABLE agi_router.attempt IS 'Tries of the last days to deliver events; what was sent stands in none';

COMMENT ON COLUMN agi_router.attempt.webhook_id IS 'To whom';

COMMENT ON COLUMN agi_router.attempt.event_id IS 'Which event';

COMMENT ON COLUMN agi_router.attempt.at IS 'When it ended';

COMMENT ON COLUMN agi_router.attempt.tries IS 'The how-manieth try it was';

COMMENT ON COLUMN agi_router.attempt.status IS 'HTTP status; null: there was no answer';

COMMENT ON COLUMN agi_router.attempt.ms IS 'Milliseconds it took';

COMMENT ON COLUMN agi_router.attempt.why IS 'Why it failed, in our words; null: it did not';

CREATE TABLE agi_router.audit (
    id bigint NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    uid bigint NOT NULL,
    name text NOT NULL,
    effective_uid bigint NOT NULL,
    login_uid bigint,
    claimed text,
    host text NOT NULL,
    act text NOT NULL,
    subject text NOT NULL,
    reason text,
    api_key text,
    request_id text,
    case_id text,
    role text DEFAULT SESSION_USER NOT NULL,
    address text,
    tag bigint,
    before jsonb,
    after jsonb
);

COMMENT ON TABLE agi_router.audit IS 'Who had real numbers shown to him, and who changed what: a row is written, and committed, before anything is shown, and with what it changes';

COMMENT ON COLUMN agi_router.audit.id IS 'Key';

COMMENT ON COLUMN agi_router.audit.at IS 'When';

COMMENT ON COLUMN agi_router.audit.uid IS 'Real user id of the process';

COMMENT ON COLUMN agi_router.audit.name IS 'Name of that user on the host';

COMMENT ON COLUMN agi_router.audit.effective_uid IS 'Effective user id of the process';

COMMENT ON COLUMN agi_router.audit.login_uid IS 'Who had logged in, as the kernel keeps it; null: it does not tell';

COMMENT ON COLUMN agi_router.audit.claimed IS 'What SUDO_USER said: a hint, anybody can set it';

COMMENT ON COLUMN agi_router.audit.host IS 'Name of the host';

COMMENT ON COLUMN agi_router.audit.act IS 'The command, or the method and path of a request';

COMMENT ON COLUMN agi_router.audit.subject IS 'What was asked for; never a real number';

COMMENT ON COLUMN agi_router.audit.reason IS 'Why, as the user said it';

COMMENT ON COLUMN agi_router.audit.api_key IS 'API key of the request, whose process the user ids are of; null: a command';

COMMENT ON COLUMN agi_router.audit.request_id IS 'Id of the request; null: a command';

COMMENT ON COLUMN agi_router.audit.case_id IS 'The case that a trace in full, or a legal hold, is for; null: none is asked for';

COMMENT ON COLUMN agi_router.audit.role IS 'What the actor is: the role of an API key, or the role of the database that a command has connected as';

COMMENT ON COLUMN agi_router.audit.address IS 'Where a request came from; null: a command, whose host is said';

COMMENT ON COLUMN agi_router.audit.tag IS 'The person that it is about, as a keyed hash; null: it is about none';

COMMENT ON COLUMN agi_router.audit.before IS 'What stood before of what was changed, by its kind and name; null: nothing that is kept was changed, or nothing stood';

COMMENT ON COLUMN agi_router.audit.after IS 'What stands in its place; secrets and sealed numbers are named and not shown';

CREATE TABLE agi_router.audit_chain (
    "position" bigint NOT NULL,
    audit_id bigint NOT NULL,
    algorithm text NOT NULL,
    digest bytea NOT NULL,
    CONSTRAINT audit_chain_digest CHECK ((octet_length(digest) = 32)),
    CONSTRAINT audit_chain_position CHECK (("position" > 0))
);

COMMENT ON TABLE agi_router.audit_chain IS 'The place of each row of the audit, and a digest of it and of all before it; heads that are signed and kept elsewhere hold the chain';

COMMENT ON COLUMN agi_router.audit_chain."position" IS 'Place, from 1 without a gap';

COMMENT ON COLUMN agi_router.audit_chain.audit_id IS 'The row';

COMMENT ON COLUMN agi_router.audit_chain.algorithm IS 'What made the digest: sha256 or sm3';

COMMENT ON COLUMN agi_router.audit_chain.digest IS 'Of the digest at the place before, the place and the row';

CREATE TABLE agi_router.audit_head (
    signed_at timestamp with time zone NOT NULL,
    "position" bigint NOT NULL,
    digest bytea NOT NULL,
    key text NOT NULL,
    signature bytea NOT NULL,
    CONSTRAINT audit_head_digest_check CHECK ((octet_length(digest) = 32)),
    CONSTRAINT audit_head_position_check CHECK (("position" >= 0))
);

COMMENT ON TABLE agi_router.audit_head IS 'A copy of the heads that were signed, for whoever reads them by HTTP and keeps them elsewhere; the file of heads holds the audit, and not this';

COMMENT ON COLUMN agi_router.audit_head.signed_at IS 'When';

COMMENT ON COLUMN agi_router.audit_head."position" IS 'Place of the last row of the chain then; 0: it was empty';

COMMENT ON COLUMN agi_router.audit_head.digest IS 'The digest there';

COMMENT ON COLUMN agi_router.audit_head.key IS 'Id of the key that signed';

COMMENT ON COLUMN agi_router.audit_head.signature IS 'By that key, over the rest';

ALTER TABLE agi_router.audit ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME agi_router.audit_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE agi_router.bind_use (
    tenant_id integer NOT NULL,
    kind text NOT NULL,
    key bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    until timestamp with time zone NOT NULL,
    CONSTRAINT bind_use_kind_check CHECK ((kind = ANY (ARRAY['a'::text, 'b'::text, 'number'::text, 'tenant'::text])))
);

COMMENT ON TABLE agi_router.bind_use IS 'Bindings that were made of tenants with rates, as long as they count';

COMMENT ON COLUMN agi_router.bind_use.tenant_id IS 'For whom';

COMMENT ON COLUMN agi_router.bind_use.kind IS 'Of what it counts: of a person as side A or B, a 700 number, the tenant';

COMMENT ON COLUMN agi_router.bind_use.key IS 'Tag of the person under the key that was current then, the 700 number, or the id of the tenant';

COMMENT ON COLUMN agi_router.bind_use.at IS 'When it was made';

COMMENT ON COLUMN agi_router.bind_use.until IS 'When it counts no longer';

CREATE SEQUENCE agi_router.binding_id
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

COMMENT ON SEQUENCE agi_router.binding_id IS 'Numbers of bindings; gaps mean nothing';

CREATE TABLE agi_router.binding (
    block bigint NOT NULL,
    id bigint DEFAULT nextval('agi_router.binding_id'::regclass) NOT NULL,
    tenant_id integer NOT NULL,
    calls_used integer DEFAULT 0 NOT NULL,
    max_calls integer,
    begins_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone,
    state text DEFAULT 'active'::text NOT NULL,
    mode text NOT NULL,
    counting text DEFAULT 'answered'::text NOT NULL,
    direction text DEFAULT 'both'::text NOT NULL,
    ring_timeout integer,
    max_duration integer,
    language text,
    order_id text,
    callback text,
    calls_settled integer DEFAULT 0 NOT NULL,
    pair_tag bigint,
    replaced integer,
    callback_window integer,
    display_a text,
    display_b text,
    prompts text,
    extension text,
    open_number bigint,
    y_ttl integer,
    parent_id bigint,
    order_tag bigint,
    out_id text,
    user_data text,
    industrial_id text,
    pool text,
    party_group text,
    version integer DEFAULT 1 NOT NULL,
    sequence integer DEFAULT 0 NOT NULL,
    messages text DEFAULT 'off'::text NOT NULL,
    max_messages integer,
    messages_used integer DEFAULT 0 NOT NULL,
    scene text,
    hours text,
    consent text,
    record text
)
WITH (fillfactor='85');

COMMENT ON TABLE agi_router.binding IS 'Bindings: parties reach each other through 700 numbers, until a time or a count';

COMMENT ON COLUMN agi_router.binding.block IS 'Block that all its numbers lie in';

COMMENT ON COLUMN agi_router.binding.id IS 'Number of the binding; its name is block-id';

COMMENT ON COLUMN agi_router.binding.tenant_id IS 'Whose order it serves';

COMMENT ON COLUMN agi_router.binding.calls_used IS 'Uses taken, reservations of running calls included';

COMMENT ON COLUMN agi_router.binding.max_calls IS 'Uses in all; null: no limit';

COMMENT ON COLUMN agi_router.binding.begins_at IS 'When it was bound';

COMMENT ON COLUMN agi_router.binding.expires_at IS 'When it ends by time';

COMMENT ON COLUMN agi_router.binding.ended_at IS 'When it was ended; null while it was not (it may have expired all the same)';

COMMENT ON COLUMN agi_router.binding.state IS 'active, or what ended it';

COMMENT ON COLUMN agi_router.binding.mode IS 'Kind of the binding';

COMMENT ON COLUMN agi_router.binding.counting IS 'What keeps a use: answered calls, or every attempt';

COMMENT ON COLUMN agi_router.binding.direction IS 'Which side may call';

COMMENT ON COLUMN agi_router.binding.ring_timeout IS 'Seconds a callee rings; null: the router''s setting';

COMMENT ON COLUMN agi_router.binding.max_duration IS 'Seconds a call may last; null: the router''s setting';

COMMENT ON COLUMN agi_router.binding.language IS 'Language of prompts; null: the router''s setting';

COMMENT ON COLUMN agi_router.binding.order_id IS 'The real order behind it';

COMMENT ON COLUMN agi_router.binding.callback IS 'Who rings when a group, or whoever called A, is called back; null: the one other party';

COMMENT ON COLUMN agi_router.binding.calls_settled IS 'Uses that will not come back; kept only where max_calls is set';

COMMENT ON COLUMN agi_router.binding.pair_tag IS 'Keyed hash of all its parties; null unless they asked for the same number again';

COMMENT ON COLUMN agi_router.binding.replaced IS 'How often one of its parties was replaced by another; null: never';

COMMENT ON COLUMN agi_router.binding.callback_window IS 'Seconds for which the last caller is called back; null: as long as the binding lives';

COMMENT ON COLUMN agi_router.binding.display_a IS 'What side A sees when it is called: its 700 number (null too), or nobody''s';

COMMENT ON COLUMN agi_router.binding.display_b IS 'What side B sees when it is called: its 700 number (null too), or nobody''s';

COMMENT ON COLUMN agi_router.binding.prompts IS 'Set of prompts that its callers hear; null: those shipped';

COMMENT ON COLUMN agi_router.binding.extension IS 'AXE: the digits by which A is reached on X';

COMMENT ON COLUMN agi_router.binding.open_number IS 'AX, AXE: the X that strangers may call';

COMMENT ON COLUMN agi_router.binding.y_ttl IS 'AXYB whose Y is made on the first call: seconds that such a Y lives';

COMMENT ON COLUMN agi_router.binding.parent_id IS 'The binding whose call has made this one, for its Y; uses are counted there';

COMMENT ON COLUMN agi_router.binding.order_tag IS 'Keyed hash of tenant, order, mode and the parties it was made for; null without an order';

COMMENT ON COLUMN agi_router.binding.out_id IS 'Id that the customer has for it; comes back with it';

COMMENT ON COLUMN agi_router.binding.user_data IS 'Text of the customer''s own; comes back with it';

COMMENT ON COLUMN agi_router.binding.industrial_id IS 'Id of the order at an industrial platform; comes back with it';

COMMENT ON COLUMN agi_router.binding.pool IS 'Name of the pool that it was made in; null: none';

COMMENT ON COLUMN agi_router.binding.party_group IS 'Name of its tenant''s party group that is side A; null: none';

COMMENT ON COLUMN agi_router.binding.version IS 'How often somebody has said what is agreed, members and end included; counts and ends by clock leave it';

COMMENT ON COLUMN agi_router.binding.sequence IS 'How many events of it were written';

COMMENT ON COLUMN agi_router.binding.messages IS 'Which side may text';

COMMENT ON COLUMN agi_router.binding.max_messages IS 'Texts in all; null: no limit';

COMMENT ON COLUMN agi_router.binding.messages_used IS 'Texts taken, less those that came back because they were not sent';

COMMENT ON COLUMN agi_router.binding.scene IS 'Code of the use that it is made for; null: none is named';

COMMENT ON COLUMN agi_router.binding.hours IS 'Hours of the week in which calls and texts go through, as agi_router.is_open reads them, in the time zone of its tenant; null: those of its tenant';

COMMENT ON COLUMN agi_router.binding.consent IS 'How its parties have agreed, as its tenant has stated it with the bind; null: it did not';

COMMENT ON COLUMN agi_router.binding.record IS 'Whether its calls are recorded: on, off; null: as its tenant says';

CREATE TABLE agi_router.binding_hold (
    block bigint NOT NULL,
    binding_id bigint NOT NULL,
    tag bigint NOT NULL,
    since timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

COMMENT ON TABLE agi_router.binding_hold IS 'Of which parties nobody knows whether their numbers have new owners: for whom a binding that is held waits';

COMMENT ON COLUMN agi_router.binding_hold.block IS 'Block of the binding';

COMMENT ON COLUMN agi_router.binding_hold.binding_id IS 'The binding';

COMMENT ON COLUMN agi_router.binding_hold.tag IS 'Tag of the party, under the key that was current';

COMMENT ON COLUMN agi_router.binding_hold.since IS 'When a feed said so';

CREATE TABLE agi_router.block (
    block bigint NOT NULL,
    operator text,
    certificate text,
    tenant_id integer,
    state text DEFAULT 'active'::text NOT NULL,
    valid_from timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    valid_until timestamp with time zone DEFAULT 'infinity'::timestamp with time zone NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT block_block_check CHECK (((block >= '70000000000'::bigint) AND (block <= '70099999999'::bigint))),
    CONSTRAINT block_state_check CHECK ((state = ANY (ARRAY['active'::text, 'draining'::text, 'returned'::text])))
);

COMMENT ON TABLE agi_router.block IS 'Managed blocks of 10,000 numbers, as assigned by the regulator';

COMMENT ON COLUMN agi_router.block.block IS 'The block: 11 digits, 700 + operator 1 + platform 7';

COMMENT ON COLUMN agi_router.block.operator IS 'Name of the carrier';

COMMENT ON COLUMN agi_router.block.certificate IS 'Number of the certificate that assigns the block';

COMMENT ON COLUMN agi_router.block.tenant_id IS 'Tenant it is kept for; null: shared by all';

COMMENT ON COLUMN agi_router.block.state IS 'active; draining: no new bindings; returned: no calls';

COMMENT ON COLUMN agi_router.block.valid_from IS 'Start of the certificate';

COMMENT ON COLUMN agi_router.block.valid_until IS 'End of the certificate';

COMMENT ON COLUMN agi_router.block.created_at IS 'When it was added';

CREATE TABLE agi_router.blocklist (
    id bigint NOT NULL,
    key bigint NOT NULL,
    sealed bytea NOT NULL,
    other_key bigint,
    other_sealed bytea,
    tenant_id integer,
    direction text NOT NULL,
    note text,
    setter_id integer,
    added_by text NOT NULL,
    added_at timestamp with time zone NOT NULL,
    ends_at timestamp with time zone,
    over_at timestamp with time zone,
    removed_by text,
    CONSTRAINT blocklist_added_by_check CHECK (((length(added_by) >= 1) AND (length(added_by) <= 128))),
    CONSTRAINT blocklist_direction_check CHECK ((direction = ANY (ARRAY['both'::text, 'out'::text, 'in'::text]))),
    CONSTRAINT blocklist_note_check CHECK (((length(note) >= 1) AND (length(note) <= 500))),
    CONSTRAINT blocklist_other_check CHECK (((other_key IS NULL) = (other_sealed IS NULL))),
    CONSTRAINT blocklist_removed_by_check CHECK (((length(removed_by) >= 1) AND (length(removed_by) <= 128))),
    CONSTRAINT blocklist_removed_check CHECK (((removed_by IS NULL) OR (over_at IS NOT NULL))),
    CONSTRAINT blocklist_times_check CHECK ((ends_at > added_at))
);

COMMENT ON TABLE agi_router.blocklist IS 'Block lists: which persons are not to reach which others, and for how long; entries that are over, too';

COMMENT ON COLUMN agi_router.blocklist.id IS 'Key; of the numbers of locks';

COMMENT ON COLUMN agi_router.blocklist.key IS 'Tag of the person whose entry it is';

COMMENT ON COLUMN agi_router.blocklist.sealed IS 'The number of that person, sealed for this entry and this tag';

COMMENT ON COLUMN agi_router.blocklist.other_key IS 'Tag of the one other person; null: anybody';

COMMENT ON COLUMN agi_router.blocklist.other_sealed IS 'The number of the other person, sealed for this entry and that tag';

COMMENT ON COLUMN agi_router.blocklist.tenant_id IS 'The tenant in whose bindings alone it holds; null: in all';

COMMENT ON COLUMN agi_router.blocklist.direction IS 'What is refused: out, what the person asks of the other; in, what the other asks of the person; or both';

COMMENT ON COLUMN agi_router.blocklist.note IS 'Why, for people';

COMMENT ON COLUMN agi_router.blocklist.setter_id IS 'The tenant that has added it, and alone beside the operator may remove it; null: the operator';

COMMENT ON COLUMN agi_router.blocklist.added_by IS 'The user of a host, or the API key, that has added it';

COMMENT ON COLUMN agi_router.blocklist.added_at IS 'When it was added, from when it holds';

COMMENT ON COLUMN agi_router.blocklist.ends_at IS 'When it ends by itself; null: never';

COMMENT ON COLUMN agi_router.blocklist.over_at IS 'When it ended or was removed; null while its marks stand';

COMMENT ON COLUMN agi_router.blocklist.removed_by IS 'Who has removed it; null: nobody, it ended by itself';

CREATE TABLE agi_router.call (
    block bigint NOT NULL,
    id text NOT NULL,
    day date NOT NULL,
    x_number bigint NOT NULL,
    received_at timestamp with time zone DEFAULT now() NOT NULL,
    answered_at timestamp with time zone,
    ended_at timestamp with time zone,
    binding_id bigint,
    shown bigint,
    tenant_id integer,
    ring_ms integer,
    talk_ms integer,
    cause smallint,
    sip_status smallint,
    side text,
    state text NOT NULL,
    reason text,
    outcome text,
    released_by text,
    clock text,
    cut text,
    check_id uuid,
    check_verdict text,
    check_ms integer,
    tenant_check_id uuid,
    tenant_check_verdict text,
    tenant_check_ms integer,
    record boolean,
    CONSTRAINT call_state_check CHECK ((state = ANY (ARRAY['reserved'::text, 'settled'::text])))
)
PARTITION BY RANGE (day);

COMMENT ON TABLE agi_router.call IS 'One row per call that entered, admitted or refused; a partition per day';

COMMENT ON COLUMN agi_router.call.block IS 'Block of the number dialled';

COMMENT ON COLUMN agi_router.call.id IS 'Asterisk''s UNIQUEID, with the node''s systemname in front';

COMMENT ON COLUMN agi_router.call.day IS 'Day (UTC) of the second in the id; the partition';

COMMENT ON COLUMN agi_router.call.x_number IS 'The 700 number dialled';

COMMENT ON COLUMN agi_router.call.received_at IS 'When it was admitted, or for a refused call settled';

COMMENT ON COLUMN agi_router.call.answered_at IS 'When its callee answered, where its tenant is told of that while the call goes on; else null';

COMMENT ON COLUMN agi_router.call.ended_at IS 'When it ended';

COMMENT ON COLUMN agi_router.call.binding_id IS 'Binding it used; null if it was refused';

COMMENT ON COLUMN agi_router.call.shown IS '700 number that its callee is shown; null if it was refused';

COMMENT ON COLUMN agi_router.call.tenant_id IS 'Tenant whose binding it used, or for whom its block is kept; null: of nobody in particular';

COMMENT ON COLUMN agi_router.call.ring_ms IS 'Milliseconds until the callee rang';

COMMENT ON COLUMN agi_router.call.talk_ms IS 'Milliseconds of talk';

COMMENT ON COLUMN agi_router.call.cause IS 'Q.850 cause at the end; 0: none given';

COMMENT ON COLUMN agi_router.call.sip_status IS 'Final SIP status of the callee''s leg; null: it gave none, or several rang at once and nobody answered';

COMMENT ON COLUMN agi_router.call.side IS 'Side the caller stood on';

COMMENT ON COLUMN agi_router.call.state IS 'reserved: a use is taken and the call may be running; settled: final';

COMMENT ON COLUMN agi_router.call.reason IS 'Why it was refused; null if it was not';

COMMENT ON COLUMN agi_router.call.outcome IS 'What became of the dialled leg; null if none was dialled';

COMMENT ON COLUMN agi_router.call.released_by IS 'Who ended it: caller, callee, us';

COMMENT ON COLUMN agi_router.call.clock IS 'Which clock ended it: ring, talk, media, whole; null: none';

COMMENT ON COLUMN agi_router.call.cut IS 'Of what lock the reason is for which we ended it while it went on, or consent_withdrawn; null: none did';

COMMENT ON COLUMN agi_router.call.check_id IS 'Id of the question to the operator''s verification service; null: it was not asked';

COMMENT ON COLUMN agi_router.call.check_verdict IS 'What became of it: yes, no, unavailable';

COMMENT ON COLUMN agi_router.call.check_ms IS 'Milliseconds that it took';

COMMENT ON COLUMN agi_router.call.tenant_check_id IS 'Id of the question to the service of the tenant; null: it was not asked';

COMMENT ON COLUMN agi_router.call.tenant_check_verdict IS 'What became of it: yes, no, unavailable';

COMMENT ON COLUMN agi_router.call.tenant_check_ms IS 'Milliseconds that it took';

COMMENT ON COLUMN agi_router.call.record IS 'True where it was to be recorded; null: it was not';

CREATE TABLE agi_router.call_other (
    block bigint NOT NULL,
    id text NOT NULL,
    day date NOT NULL,
    x_number bigint NOT NULL,
    received_at timestamp with time zone DEFAULT now() NOT NULL,
    answered_at timestamp with time zone,
    ended_at timestamp with time zone,
    binding_id bigint,
    shown bigint,
    tenant_id integer,
    ring_ms integer,
    talk_ms integer,
    cause smallint,
    sip_status smallint,
    side text,
    state text NOT NULL,
    reason text,
    outcome text,
    released_by text,
    clock text,
    cut text,
    check_id uuid,
    check_verdict text,
    check_ms integer,
    tenant_check_id uuid,
    tenant_check_verdict text,
    tenant_check_ms integer,
    record boolean,
    CONSTRAINT call_state_check CHECK ((state = ANY (ARRAY['reserved'::text, 'settled'::text])))
);

COMMENT ON TABLE agi_router.call_other IS 'Calls of days for which no partition was made';

CREATE TABLE agi_router.complaint (
    id bigint NOT NULL,
    x_number bigint NOT NULL,
    tenant_id integer,
    kind text NOT NULL,
    at timestamp with time zone NOT NULL,
    source text NOT NULL,
    reference text NOT NULL,
    note text,
    added_at timestamp with time zone NOT NULL,
    added_by text NOT NULL,
    dismissed_at timestamp with time zone,
    dismissed_by text,
    dismiss_note text,
    CONSTRAINT complaint_added_by_check CHECK (((length(added_by) >= 1) AND (length(added_by) <= 128))),
    CONSTRAINT complaint_dismiss_note_check CHECK (((length(dismiss_note) >= 1) AND (length(dismiss_note) <= 500))),
    CONSTRAINT complaint_dismissed_by_check CHECK (((length(dismissed_by) >= 1) AND (length(dismissed_by) <= 128))),
    CONSTRAINT complaint_kind_check CHECK ((kind = ANY (ARRAY['harassment'::text, 'marketing'::text, 'fraud'::text, 'other'::text]))),
    CONSTRAINT complaint_note_check CHECK (((length(note) >= 1) AND (length(note) <= 500))),
    CONSTRAINT complaint_reference_check CHECK (((length(reference) >= 1) AND (length(reference) <= 128))),
    CONSTRAINT complaint_source_check CHECK (((length(source) >= 1) AND (length(source) <= 64)))
);

COMMENT ON TABLE agi_router.complaint IS 'Complaints about calls from 700 numbers, counted by number and tenant';

COMMENT ON COLUMN agi_router.complaint.id IS 'Key';

COMMENT ON COLUMN agi_router.complaint.x_number IS 'The 700 number that was shown';

COMMENT ON COLUMN agi_router.complaint.tenant_id IS 'Whose call it was; null: that is not known';

COMMENT ON COLUMN agi_router.complaint.kind IS 'What is complained of';

COMMENT ON COLUMN agi_router.complaint.at IS 'When the call was';

COMMENT ON COLUMN agi_router.complaint.source IS 'Who has passed it on';

COMMENT ON COLUMN agi_router.complaint.reference IS 'What it is known by there: one that comes twice is one';

COMMENT ON COLUMN agi_router.complaint.note IS 'What else is said';

COMMENT ON COLUMN agi_router.complaint.added_at IS 'When it was written down: it counts from then on';

COMMENT ON COLUMN agi_router.complaint.added_by IS 'The user of a host, or the API key, that has written it';

COMMENT ON COLUMN agi_router.complaint.dismissed_at IS 'Since when it counts no longer; null: it counts';

COMMENT ON COLUMN agi_router.complaint.dismissed_by IS 'Who has found that it is unfounded';

COMMENT ON COLUMN agi_router.complaint.dismiss_note IS 'Why';

CREATE TABLE agi_router.complaint_caller (
    complaint_id bigint NOT NULL,
    person_id bigint
);

COMMENT ON TABLE agi_router.complaint_caller IS 'Who has called where somebody complains, as far as that was looked at: a line is added once, and never changed';

COMMENT ON COLUMN agi_router.complaint_caller.complaint_id IS 'The complaint';

COMMENT ON COLUMN agi_router.complaint_caller.person_id IS 'Who, see person_mark; null: nobody knows, as of a group';

ALTER TABLE agi_router.complaint ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME agi_router.complaint_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE agi_router.consent (
    id bigint NOT NULL,
    tenant_id integer NOT NULL,
    person_id bigint NOT NULL,
    act text NOT NULL,
    purpose text NOT NULL,
    order_id text,
    how text,
    at timestamp with time zone NOT NULL,
    evidence bytea,
    version text,
    binding text,
    cut boolean DEFAULT false NOT NULL,
    added_at timestamp with time zone NOT NULL,
    added_by text NOT NULL
);

COMMENT ON TABLE agi_router.consent IS 'The consent ledger: whoever serves adds lines, changes none, and deletes what was withdrawn two years ago';

COMMENT ON COLUMN agi_router.consent.id IS 'Key; of lines about one person a later one is greater';

COMMENT ON COLUMN agi_router.consent.tenant_id IS 'To whom it was said';

COMMENT ON COLUMN agi_router.consent.person_id IS 'Who has said it, see person_mark';

COMMENT ON COLUMN agi_router.consent.act IS 'given or withdrawn';

COMMENT ON COLUMN agi_router.consent.purpose IS 'To what: to be bound, or recorded';

COMMENT ON COLUMN agi_router.consent.order_id IS 'For which order alone; null: for all of the tenant';

COMMENT ON COLUMN agi_router.consent.how IS 'How it was given';

COMMENT ON COLUMN agi_router.consent.at IS 'When it was said';

COMMENT ON COLUMN agi_router.consent.evidence IS 'Digest of the evidence, which is kept by the tenant; null: none is named';

COMMENT ON COLUMN agi_router.consent.version IS 'Which text was agreed to; null: none is named';

COMMENT ON COLUMN agi_router.consent.binding IS 'Name of the binding with which the tenant has stated it; null: it was written by itself';

COMMENT ON COLUMN agi_router.consent.cut IS 'Whether calls that are up are cut by what was withdrawn';

COMMENT ON COLUMN agi_router.consent.added_at IS 'When it was written down';

COMMENT ON COLUMN agi_router.consent.added_by IS 'Who has written it';

ALTER TABLE agi_router.consent ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME agi_router.consent_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE agi_router.deletion (
    id bigint NOT NULL,
    kind text NOT NULL,
    day date NOT NULL,
    whole boolean NOT NULL,
    rule text NOT NULL,
    begun_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    ended_at timestamp with time zone,
    deleted bigint DEFAULT 0 NOT NULL,
    digest bytea DEFAULT decode(repeat('00'::text, 32), 'hex'::text) NOT NULL,
    reached_block bigint DEFAULT 0 NOT NULL,
    reached_id text,
    CONSTRAINT deletion_digest_check CHECK ((length(digest) = 32))
);

COMMENT ON TABLE agi_router.deletion IS 'Proofs of what retention has deleted; of each that has deleted something the audit has a row, too';

COMMENT ON COLUMN agi_router.deletion.id IS 'Key';

COMMENT ON COLUMN agi_router.deletion.kind IS 'What was deleted, as agi_router/maintenance/classes.py names it';

COMMENT ON COLUMN agi_router.deletion.day IS 'The day (UTC) of what was deleted, or up to whose end it was over';

COMMENT ON COLUMN agi_router.deletion.whole IS 'Whether it is of that day alone: its table was dropped';

COMMENT ON COLUMN agi_router.deletion.rule IS 'By which rule';

COMMENT ON COLUMN agi_router.deletion.begun_at IS 'When it began';

COMMENT ON COLUMN agi_router.deletion.ended_at IS 'When all was done; null: it was not yet, the next run goes on';

COMMENT ON COLUMN agi_router.deletion.deleted IS 'How many rows were deleted';

COMMENT ON COLUMN agi_router.deletion.digest IS 'SHA-256 of the digest before and a row''s name, over all rows in the order in which they were deleted; 32 zero bytes before the first';

COMMENT ON COLUMN agi_router.deletion.reached_block IS 'Block of the last row that was looked at';

COMMENT ON COLUMN agi_router.deletion.reached_id IS 'Name of the last row that was looked at; null: none was';

ALTER TABLE agi_router.deletion ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME agi_router.deletion_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE agi_router.delivery (
    webhook_id bigint NOT NULL,
    event_id bigint NOT NULL,
    day date NOT NULL,
    block bigint,
    binding_id bigint,
    sequence integer,
    tries integer DEFAULT 0 NOT NULL,
    owed_since timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    next_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    batch bigint
)
WITH (fillfactor='70');

COMMENT ON TABLE agi_router.delivery IS 'What webhooks are owed; what has arrived is deleted';

COMMENT ON COLUMN agi_router.delivery.webhook_id IS 'Whom it is owed';

COMMENT ON COLUMN agi_router.delivery.event_id IS 'The event';

COMMENT ON COLUMN agi_router.delivery.day IS 'Its day';

COMMENT ON COLUMN agi_router.delivery.block IS 'Block of its binding or call';

COMMENT ON COLUMN agi_router.delivery.binding_id IS 'Its binding; null: it has none';

COMMENT ON COLUMN agi_router.delivery.sequence IS 'Its place among the events of its binding: those before it are sent first';

COMMENT ON COLUMN agi_router.delivery.tries IS 'Tries so far';

COMMENT ON COLUMN agi_router.delivery.owed_since IS 'Since when it has been owed';

COMMENT ON COLUMN agi_router.delivery.next_at IS 'When it is tried next; while it is under way, when it is given to another; infinity: no more, until somebody asks for it';

COMMENT ON COLUMN agi_router.delivery.batch IS 'The batch that it was sent in first, and is with on every try; null: none';

CREATE SEQUENCE agi_router.event_id
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

COMMENT ON SEQUENCE agi_router.event_id IS 'Numbers of events; gaps mean nothing';

CREATE TABLE agi_router.event (
    id bigint DEFAULT nextval('agi_router.event_id'::regclass) NOT NULL,
    day date NOT NULL,
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    block bigint,
    binding_id bigint,
    tenant_id integer NOT NULL,
    sequence integer,
    at timestamp with time zone NOT NULL,
    type text NOT NULL,
    data jsonb NOT NULL
)
PARTITION BY RANGE (day);

COMMENT ON TABLE agi_router.event IS 'What tenants are told; a partition per day, kept as long as calls';

COMMENT ON COLUMN agi_router.event.id IS 'Key; its name is evt_id';

COMMENT ON COLUMN agi_router.event.day IS 'Day (UTC) of its time; the partition';

COMMENT ON COLUMN agi_router.event.xid IS 'The transaction that wrote it: whoever reads on from an event reads in this order, and none beyond one that is under way';

COMMENT ON COLUMN agi_router.event.block IS 'Block of its binding or call; null: it is of neither';

COMMENT ON COLUMN agi_router.event.binding_id IS 'Its binding; null: it has none';

COMMENT ON COLUMN agi_router.event.tenant_id IS 'Who is told';

COMMENT ON COLUMN agi_router.event.sequence IS 'Its place among the events of its binding, from 1; null without one';

COMMENT ON COLUMN agi_router.event.at IS 'When it was written';

COMMENT ON COLUMN agi_router.event.type IS 'What happened';

COMMENT ON COLUMN agi_router.event.data IS 'As it was then; never a real number';

CREATE TABLE agi_router.event_other (
    id bigint DEFAULT nextval('agi_router.event_id'::regclass) NOT NULL,
    day date NOT NULL,
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    block bigint,
    binding_id bigint,
    tenant_id integer NOT NULL,
    sequence integer,
    at timestamp with time zone NOT NULL,
    type text NOT NULL,
    data jsonb NOT NULL
);

COMMENT ON TABLE agi_router.event_other IS 'Events of days for which no partition was made';

CREATE TABLE agi_router.export_day (
    day date NOT NULL,
    sequence integer NOT NULL,
    made_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    records jsonb NOT NULL,
    numbers text NOT NULL,
    recipient text NOT NULL,
    manifest bytea NOT NULL,
    signed text NOT NULL,
    CONSTRAINT export_day_manifest_check CHECK ((octet_length(manifest) = 32)),
    CONSTRAINT export_day_numbers_check CHECK ((numbers = ANY (ARRAY['masked'::text, 'full'::text]))),
    CONSTRAINT export_day_sequence_check CHECK ((sequence >= 0))
);

COMMENT ON TABLE agi_router.export_day IS 'Packages that were made of days';

COMMENT ON COLUMN agi_router.export_day.day IS 'The day (Asia/Shanghai)';

COMMENT ON COLUMN agi_router.export_day.sequence IS '0: the day; what follows are corrections, of what came late';

COMMENT ON COLUMN agi_router.export_day.made_at IS 'When it was written down';

COMMENT ON COLUMN agi_router.export_day.records IS 'How many records of each kind are in it';

COMMENT ON COLUMN agi_router.export_day.numbers IS 'Whether real numbers are masked in it or in full';

COMMENT ON COLUMN agi_router.export_day.recipient IS 'Id of the key that it is sealed for';

COMMENT ON COLUMN agi_router.export_day.manifest IS 'SHA-256 of its manifest, which tells it from those for others';

COMMENT ON COLUMN agi_router.export_day.signed IS 'The manifest, signed, as it lies in the package';

CREATE TABLE agi_router.export_wish (
    day date NOT NULL,
    asked_at timestamp with time zone NOT NULL,
    asked_by text NOT NULL,
    done_at timestamp with time zone,
    failure text,
    CONSTRAINT export_wish_failure_check CHECK (((failure IS NULL) OR (done_at IS NOT NULL)))
);

COMMENT ON TABLE agi_router.export_wish IS 'Days that somebody wants to be exported, beside what is done each night';

COMMENT ON COLUMN agi_router.export_wish.day IS 'The day (Asia/Shanghai)';

COMMENT ON COLUMN agi_router.export_wish.asked_at IS 'When that was asked for last';

COMMENT ON COLUMN agi_router.export_wish.asked_by IS 'By whom';

COMMENT ON COLUMN agi_router.export_wish.done_at IS 'When it was tried; null: it waits';

COMMENT ON COLUMN agi_router.export_wish.failure IS 'Why that has failed; null: it did not';

CREATE TABLE agi_router.feed (
    id integer NOT NULL,
    name text NOT NULL,
    kind text NOT NULL,
    path text,
    numbers text NOT NULL,
    trust text NOT NULL,
    every interval,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT feed_kind_check CHECK ((kind = ANY (ARRAY['file'::text, 'folder'::text, 'stdin'::text, 'push'::text, 'pull'::text]))),
    CONSTRAINT feed_name_check CHECK (((length(name) >= 1) AND (length(name) <= 64))),
    CONSTRAINT feed_numbers_check CHECK ((numbers = ANY (ARRAY['plain'::text, 'md5'::text, 'sha256'::text, 'sm3'::text]))),
    CONSTRAINT feed_path_check CHECK (((path IS NULL) = (kind = ANY (ARRAY['stdin'::text, 'push'::text])))),
    CONSTRAINT feed_trust_check CHECK ((trust = ANY (ARRAY['full'::text, 'hint'::text])))
);

COMMENT ON TABLE agi_router.feed IS 'Where we learn which numbers were given to new owners';

COMMENT ON COLUMN agi_router.feed.id IS 'Key';

COMMENT ON COLUMN agi_router.feed.name IS 'Name, unique';

COMMENT ON COLUMN agi_router.feed.kind IS 'Where its files come from: one path, a folder, standard input, a program that pushes records by HTTP, or an address that is asked';

COMMENT ON COLUMN agi_router.feed.path IS 'The file, the folder, or the address; null: it has none';

COMMENT ON COLUMN agi_router.feed.numbers IS 'How numbers stand in it: plain, or as a digest in hexadecimal';

COMMENT ON COLUMN agi_router.feed.trust IS 'full: what it says is done; hint: who has a new owner by it counts as unknown';

COMMENT ON COLUMN agi_router.feed.every IS 'How often a new file is expected; null: nobody says';

COMMENT ON COLUMN agi_router.feed.created_at IS 'When it was added';

CREATE TABLE agi_router.feed_body (
    run_id bigint NOT NULL,
    sealed bytea NOT NULL,
    came_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

COMMENT ON TABLE agi_router.feed_body IS 'Files that were sent by HTTP and wait to be read; each goes when its run is over';

COMMENT ON COLUMN agi_router.feed_body.run_id IS 'Its run';

COMMENT ON COLUMN agi_router.feed_body.sealed IS 'The file, sealed';

COMMENT ON COLUMN agi_router.feed_body.came_at IS 'When it came';

CREATE TABLE agi_router.feed_fault (
    run_id bigint NOT NULL,
    line bigint NOT NULL,
    why text NOT NULL,
    CONSTRAINT feed_fault_why_check CHECK ((length(why) <= 200))
);

COMMENT ON TABLE agi_router.feed_fault IS 'Lines of files that cannot be read, the first of each file; never what stands in them';

COMMENT ON COLUMN agi_router.feed_fault.run_id IS 'The run';

COMMENT ON COLUMN agi_router.feed_fault.line IS 'The line of the file, from 1';

COMMENT ON COLUMN agi_router.feed_fault.why IS 'Why, in our words';

ALTER TABLE agi_router.feed ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME agi_router.feed_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE agi_router.feed_match (
    run_id bigint NOT NULL,
    block bigint NOT NULL,
    binding_id bigint NOT NULL,
    line bigint NOT NULL,
    tenant_id integer NOT NULL,
    outcome text NOT NULL,
    at timestamp with time zone NOT NULL,
    CONSTRAINT feed_match_outcome_check CHECK ((outcome = ANY (ARRAY['ended'::text, 'held'::text, 'released'::text, 'began_later'::text, 'rings'::text])))
);

COMMENT ON TABLE agi_router.feed_match IS 'Bindings that lived and had a party with a number of a feed, and what became of them';

COMMENT ON COLUMN agi_router.feed_match.run_id IS 'The run that found it';

COMMENT ON COLUMN agi_router.feed_match.block IS 'Block of the binding';

COMMENT ON COLUMN agi_router.feed_match.binding_id IS 'The binding';

COMMENT ON COLUMN agi_router.feed_match.line IS 'The line that its party stands on';

COMMENT ON COLUMN agi_router.feed_match.tenant_id IS 'Whose it is';

COMMENT ON COLUMN agi_router.feed_match.outcome IS 'ended; began_later: its party was bound after the number had its new owner; rings: nobody knows, and its tenant lets it ring; held: it rings nobody until that is known; released: it is known, and it rings again';

COMMENT ON COLUMN agi_router.feed_match.at IS 'When that was';

CREATE TABLE agi_router.feed_pull (
    feed_id integer NOT NULL,
    sealed bytea,
    etag text,
    modified text,
    cursor text,
    pulled_at timestamp with time zone,
    failed_at timestamp with time zone,
    why text,
    asked_at timestamp with time zone,
    CONSTRAINT feed_pull_cursor_check CHECK ((length(cursor) <= 1024)),
    CONSTRAINT feed_pull_etag_check CHECK ((length(etag) <= 1024)),
    CONSTRAINT feed_pull_modified_check CHECK ((length(modified) <= 1024)),
    CONSTRAINT feed_pull_why_check CHECK ((length(why) <= 200))
);

COMMENT ON TABLE agi_router.feed_pull IS 'How far feeds are read whose address is asked, or whose files are looked at';

COMMENT ON COLUMN agi_router.feed_pull.feed_id IS 'The feed';

COMMENT ON COLUMN agi_router.feed_pull.sealed IS 'What is sent as Authorization, sealed; null: nothing';

COMMENT ON COLUMN agi_router.feed_pull.etag IS 'ETag of the last answer that was done';

COMMENT ON COLUMN agi_router.feed_pull.modified IS 'Its Last-Modified';

COMMENT ON COLUMN agi_router.feed_pull.cursor IS 'Where the next answer begins, as the last one said';

COMMENT ON COLUMN agi_router.feed_pull.pulled_at IS 'When the address was asked last, or files were looked at, and all was done that was new';

COMMENT ON COLUMN agi_router.feed_pull.failed_at IS 'When that failed last';

COMMENT ON COLUMN agi_router.feed_pull.why IS 'Why the last try has failed, in our words; null: it did not';

COMMENT ON COLUMN agi_router.feed_pull.asked_at IS 'When somebody has asked for it to be read soon';

CREATE TABLE agi_router.feed_run (
    id bigint NOT NULL,
    feed_id integer NOT NULL,
    file text NOT NULL,
    digest bytea NOT NULL,
    begun_at timestamp with time zone DEFAULT now() NOT NULL,
    ended_at timestamp with time zone,
    taken bigint DEFAULT 0 NOT NULL,
    reissued bigint DEFAULT 0 NOT NULL,
    cancelled bigint DEFAULT 0 NOT NULL,
    kept bigint DEFAULT 0 NOT NULL,
    unknown bigint DEFAULT 0 NOT NULL,
    malformed bigint DEFAULT 0 NOT NULL,
    CONSTRAINT feed_run_digest_check CHECK ((length(digest) = 32))
);

COMMENT ON TABLE agi_router.feed_run IS 'Files of feeds, each once, and how far each was read';

COMMENT ON COLUMN agi_router.feed_run.id IS 'Key';

COMMENT ON COLUMN agi_router.feed_run.feed_id IS 'Its feed';

COMMENT ON COLUMN agi_router.feed_run.file IS 'Name of the file, or of what was pushed; -: standard input';

COMMENT ON COLUMN agi_router.feed_run.digest IS 'SHA-256 of the file, or of what was pushed with its name: read again it is the same run';

COMMENT ON COLUMN agi_router.feed_run.begun_at IS 'When it was begun';

COMMENT ON COLUMN agi_router.feed_run.ended_at IS 'When all of it was done; null: it was not, the next run goes on';

COMMENT ON COLUMN agi_router.feed_run.taken IS 'Records that are done, from the first: where the next run goes on';

COMMENT ON COLUMN agi_router.feed_run.reissued IS 'How many of them say that the number has a new owner';

COMMENT ON COLUMN agi_router.feed_run.cancelled IS 'How many say that it was given back';

COMMENT ON COLUMN agi_router.feed_run.kept IS 'How many say that it has its owner still';

COMMENT ON COLUMN agi_router.feed_run.unknown IS 'How many say that nobody knows';

COMMENT ON COLUMN agi_router.feed_run.malformed IS 'How many cannot be read';

ALTER TABLE agi_router.feed_run ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME agi_router.feed_run_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE agi_router.finding (
    id bigint NOT NULL,
    operator smallint NOT NULL,
    source text DEFAULT 'lock'::text NOT NULL,
    lock_id bigint,
    complaint_id bigint,
    status text NOT NULL,
    found_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    taken_at timestamp with time zone,
    acknowledged_at timestamp with time zone,
    CONSTRAINT finding_of_one_check CHECK ((((lock_id IS NOT NULL) = (source = 'lock'::text)) AND ((complaint_id IS NOT NULL) = (source = 'complaint'::text)))),
    CONSTRAINT finding_operator_check CHECK (((operator >= 0) AND (operator <= 9))),
    CONSTRAINT finding_source_check CHECK ((source = ANY (ARRAY['lock'::text, 'complaint'::text]))),
    CONSTRAINT finding_status_check CHECK ((status = ANY (ARRAY['misuse'::text, 'withdrawn'::text])))
);

COMMENT ON TABLE agi_router.finding IS 'Findings of misuse, and what has become of telling the carrier of them';

COMMENT ON COLUMN agi_router.finding.id IS 'Key; rises';

COMMENT ON COLUMN agi_router.finding.operator IS 'Operator digit of 700 numbers on which the person is or was bound, or that were complained of: whose carrier is told';

COMMENT ON COLUMN agi_router.finding.source IS 'What has led to it';

COMMENT ON COLUMN agi_router.finding.lock_id IS 'The lock, which has the number';

COMMENT ON COLUMN agi_router.finding.complaint_id IS 'The complaint by which there were too many of one person, see complaint_caller';

COMMENT ON COLUMN agi_router.finding.status IS 'misuse; withdrawn: the lock was lifted, or complaints dismissed, after the carrier was told';

COMMENT ON COLUMN agi_router.finding.found_at IS 'When it was noted';

COMMENT ON COLUMN agi_router.finding.taken_at IS 'When it was handed out first';

COMMENT ON COLUMN agi_router.finding.acknowledged_at IS 'When the carrier had it; it is handed out no more';

ALTER TABLE agi_router.finding ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME agi_router.finding_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE agi_router.function (
    name text NOT NULL,
    checksum text NOT NULL,
    version text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);

COMMENT ON TABLE agi_router.function IS 'Functions of this schema, each with its triggers, as they were applied';

COMMENT ON COLUMN agi_router.function.name IS 'Name of the function and of its file';

COMMENT ON COLUMN agi_router.function.checksum IS 'SHA-256 of the file';

COMMENT ON COLUMN agi_router.function.version IS 'Version of agi_router that last brought the functions up to date';

COMMENT ON COLUMN agi_router.function.applied_at IS 'When this file was applied';

CREATE TABLE agi_router.group_member (
    group_id integer NOT NULL,
    tag bigint NOT NULL,
    place integer NOT NULL,
    sealed bytea NOT NULL,
    added_at timestamp with time zone NOT NULL
);

COMMENT ON TABLE agi_router.group_member IS 'Who is in a party group';

COMMENT ON COLUMN agi_router.group_member.group_id IS 'The group';

COMMENT ON COLUMN agi_router.group_member.tag IS 'Tag of the member';

COMMENT ON COLUMN agi_router.group_member.place IS 'Its place in the order of the members';

COMMENT ON COLUMN agi_router.group_member.sealed IS 'Its number, sealed for this row';

COMMENT ON COLUMN agi_router.group_member.added_at IS 'When it came in; by a feed, who has its number now is judged by that';

CREATE SEQUENCE agi_router.group_version
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

COMMENT ON SEQUENCE agi_router.group_version IS 'Versions of party groups: no group of a name has one that another of that name had; gaps mean nothing';

CREATE TABLE agi_router.hold (
    id bigint NOT NULL,
    case_id text NOT NULL,
    reason text NOT NULL,
    x_number bigint,
    person_id bigint,
    order_id text,
    tenant_id integer,
    set_by text NOT NULL,
    set_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    released_by text,
    released_at timestamp with time zone,
    release_note text,
    CONSTRAINT hold_case_id_check CHECK (((length(case_id) >= 1) AND (length(case_id) <= 64))),
    CONSTRAINT hold_order_id_check CHECK (((length(order_id) >= 1) AND (length(order_id) <= 128))),
    CONSTRAINT hold_reason_check CHECK (((length(reason) >= 1) AND (length(reason) <= 500))),
    CONSTRAINT hold_release_note_check CHECK (((length(release_note) >= 1) AND (length(release_note) <= 500))),
    CONSTRAINT hold_released_by_check CHECK (((length(released_by) >= 1) AND (length(released_by) <= 128))),
    CONSTRAINT hold_released_check CHECK (((released_at IS NULL) = (released_by IS NULL))),
    CONSTRAINT hold_set_by_check CHECK (((length(set_by) >= 1) AND (length(set_by) <= 128))),
    CONSTRAINT hold_subject_check CHECK ((num_nonnulls(x_number, person_id, order_id) = 1)),
    CONSTRAINT hold_tenant_check CHECK (((tenant_id IS NULL) OR (order_id IS NOT NULL)))
);

COMMENT ON TABLE agi_router.hold IS 'Legal holds: of whom, of what number or of what order nothing is deleted until it is released';

COMMENT ON COLUMN agi_router.hold.id IS 'Key';

COMMENT ON COLUMN agi_router.hold.case_id IS 'The case that it is for';

COMMENT ON COLUMN agi_router.hold.reason IS 'Why, for people';

COMMENT ON COLUMN agi_router.hold.x_number IS 'The 700 number that is held; null: another thing is';

COMMENT ON COLUMN agi_router.hold.person_id IS 'The person that is held, see person_mark; null: another thing is';

COMMENT ON COLUMN agi_router.hold.order_id IS 'The order that is held; null: another thing is';

COMMENT ON COLUMN agi_router.hold.tenant_id IS 'Of which tenant alone the order is; null: of any';

COMMENT ON COLUMN agi_router.hold.set_by IS 'The user of a host, or the API key, that has set it';

COMMENT ON COLUMN agi_router.hold.set_at IS 'When';

COMMENT ON COLUMN agi_router.hold.released_by IS 'Who has released it; null: it holds';

COMMENT ON COLUMN agi_router.hold.released_at IS 'When; null: it holds';

COMMENT ON COLUMN agi_router.hold.release_note IS 'Why it was released';

ALTER TABLE agi_router.hold ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME agi_router.hold_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE agi_router.kept_call (
    block bigint NOT NULL,
    id text NOT NULL,
    day date NOT NULL,
    x_number bigint NOT NULL,
    received_at timestamp with time zone NOT NULL,
    answered_at timestamp with time zone,
    ended_at timestamp with time zone,
    binding_id bigint,
    shown bigint,
    tenant_id integer,
    ring_ms integer,
    talk_ms integer,
    cause smallint,
    sip_status smallint,
    side text,
    state text NOT NULL,
    reason text,
    outcome text,
    released_by text,
    clock text,
    cut text,
    check_id uuid,
    check_verdict text,
    check_ms integer,
    tenant_check_id uuid,
    tenant_check_verdict text,
    tenant_check_ms integer,
    record boolean,
    CONSTRAINT call_state_check CHECK ((state = ANY (ARRAY['reserved'::text, 'settled'::text])))
);

COMMENT ON TABLE agi_router.kept_call IS 'Calls that are held of days that are deleted';

COMMENT ON COLUMN agi_router.kept_call.block IS 'Block of the number dialled';

COMMENT ON COLUMN agi_router.kept_call.id IS 'Asterisk''s UNIQUEID, with the node''s systemname in front';

COMMENT ON COLUMN agi_router.kept_call.day IS 'Day (UTC) of the second in the id; the partition';

COMMENT ON COLUMN agi_router.kept_call.x_number IS 'The 700 number dialled';

COMMENT ON COLUMN agi_router.kept_call.received_at IS 'When it was admitted, or for a refused call settled';

COMMENT ON COLUMN agi_router.kept_call.answered_at IS 'When its callee answered, where its tenant is told of that while the call goes on; else null';

COMMENT ON COLUMN agi_router.kept_call.ended_at IS 'When it ended';

COMMENT ON COLUMN agi_router.kept_call.binding_id IS 'Binding it used; null if it was refused';

COMMENT ON COLUMN agi_router.kept_call.shown IS '700 number that its callee is shown; null if it was refused';

COMMENT ON COLUMN agi_router.kept_call.tenant_id IS 'Tenant whose binding it used, or for whom its block is kept; null: of nobody in particular';

COMMENT ON COLUMN agi_router.kept_call.ring_ms IS 'Milliseconds until the callee rang';

COMMENT ON COLUMN agi_router.kept_call.talk_ms IS 'Milliseconds of talk';

COMMENT ON COLUMN agi_router.kept_call.cause IS 'Q.850 cause at the end; 0: none given';

COMMENT ON COLUMN agi_router.kept_call.sip_status IS 'Final SIP status of the callee''s leg; null: it gave none, or several rang at once and nobody answered';

COMMENT ON COLUMN agi_router.kept_call.side IS 'Side the caller stood on';

COMMENT ON COLUMN agi_router.kept_call.state IS 'reserved: a use is taken and the call may be running; settled: final';

COMMENT ON COLUMN agi_router.kept_call.reason IS 'Why it was refused; null if it was not';

COMMENT ON COLUMN agi_router.kept_call.outcome IS 'What became of the dialled leg; null if none was dialled';

COMMENT ON COLUMN agi_router.kept_call.released_by IS 'Who ended it: caller, callee, us';

COMMENT ON COLUMN agi_router.kept_call.clock IS 'Which clock ended it: ring, talk, media, whole; null: none';

COMMENT ON COLUMN agi_router.kept_call.cut IS 'Of what lock the reason is for which we ended it while it went on, or consent_withdrawn; null: none did';

COMMENT ON COLUMN agi_router.kept_call.check_id IS 'Id of the question to the operator''s verification service; null: it was not asked';

COMMENT ON COLUMN agi_router.kept_call.check_verdict IS 'What became of it: yes, no, unavailable';

COMMENT ON COLUMN agi_router.kept_call.check_ms IS 'Milliseconds that it took';

COMMENT ON COLUMN agi_router.kept_call.tenant_check_id IS 'Id of the question to the service of the tenant; null: it was not asked';

COMMENT ON COLUMN agi_router.kept_call.tenant_check_verdict IS 'What became of it: yes, no, unavailable';

COMMENT ON COLUMN agi_router.kept_call.tenant_check_ms IS 'Milliseconds that it took';

COMMENT ON COLUMN agi_router.kept_call.record IS 'True where it was to be recorded; null: it was not';

CREATE TABLE agi_router.kept_message (
    block bigint NOT NULL,
    id text NOT NULL,
    day date NOT NULL,
    x_number bigint NOT NULL,
    binding_id bigint NOT NULL,
    tenant_id integer NOT NULL,
    side text NOT NULL,
    shown bigint NOT NULL,
    link_in text NOT NULL,
    octets integer NOT NULL,
    parts integer NOT NULL,
    received_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    state text NOT NULL,
    reason text,
    status integer,
    attempts integer NOT NULL,
    maybe_twice boolean NOT NULL,
    done_at timestamp with time zone,
    check_id uuid,
    check_verdict text,
    check_ms integer,
    tenant_check_id uuid,
    tenant_check_verdict text,
    tenant_check_ms integer
);

COMMENT ON TABLE agi_router.kept_message IS 'Texts that are held of days that are deleted';

COMMENT ON COLUMN agi_router.kept_message.block IS 'Block of the number it was sent to';

COMMENT ON COLUMN agi_router.kept_message.id IS 'Its name: block, second and a random number';

COMMENT ON COLUMN agi_router.kept_message.day IS 'Day (UTC) of the second in the id; the partition';

COMMENT ON COLUMN agi_router.kept_message.x_number IS 'The 700 number it was sent to';

COMMENT ON COLUMN agi_router.kept_message.binding_id IS 'Binding it used';

COMMENT ON COLUMN agi_router.kept_message.tenant_id IS 'Tenant whose binding it used';

COMMENT ON COLUMN agi_router.kept_message.side IS 'Side the sender stood on';

COMMENT ON COLUMN agi_router.kept_message.shown IS '700 number that its receiver is shown';

COMMENT ON COLUMN agi_router.kept_message.link_in IS 'The door it came in by; http: its carrier keeps it, and has asked';

COMMENT ON COLUMN agi_router.kept_message.octets IS 'Length of what it said, in UTF-8';

COMMENT ON COLUMN agi_router.kept_message.parts IS 'How many short messages it is, of 160 or 153 characters of the alphabet of seven bits, or of 70 or 67 others';

COMMENT ON COLUMN agi_router.kept_message.received_at IS 'When it was accepted';

COMMENT ON COLUMN agi_router.kept_message.expires_at IS 'When it is given up';

COMMENT ON COLUMN agi_router.kept_message.state IS 'held: owed once somebody releases it; queued: owed; sent: the next hop has taken it; failed: it never will; expired: its time was over; delivered, undelivered, unknown: what its receipts tell, where there are any';

COMMENT ON COLUMN agi_router.kept_message.reason IS 'Why it was not sent; null: it was, or may be yet';

COMMENT ON COLUMN agi_router.kept_message.status IS 'Final status of the last try, of the protocol it went out by; null: none';

COMMENT ON COLUMN agi_router.kept_message.attempts IS 'How often it was tried';

COMMENT ON COLUMN agi_router.kept_message.maybe_twice IS 'Whether a try was begun of which nobody knows how it ended; it may have arrived by that one';

COMMENT ON COLUMN agi_router.kept_message.done_at IS 'When it reached a final state';

COMMENT ON COLUMN agi_router.kept_message.check_id IS 'Id of the question to the operator''s verification service; null: it was not asked';

COMMENT ON COLUMN agi_router.kept_message.check_verdict IS 'What became of it: yes';

COMMENT ON COLUMN agi_router.kept_message.check_ms IS 'Milliseconds that it took';

COMMENT ON COLUMN agi_router.kept_message.tenant_check_id IS 'Id of the question to the service of the tenant; null: it was not asked';

COMMENT ON COLUMN agi_router.kept_message.tenant_check_verdict IS 'What became of it: yes, unavailable';

COMMENT ON COLUMN agi_router.kept_message.tenant_check_ms IS 'Milliseconds that it took';

CREATE TABLE agi_router.key (
    kind text NOT NULL,
    id smallint NOT NULL,
    fingerprint bytea NOT NULL,
    seen_at timestamp with time zone DEFAULT now() NOT NULL,
    state text DEFAULT 'new'::text NOT NULL,
    current_at timestamp with time zone,
    sealed_before bigint DEFAULT 0 NOT NULL,
    CONSTRAINT key_fingerprint_check CHECK ((length(fingerprint) = 8)),
    CONSTRAINT key_id_check CHECK (((id >= 1) AND (id <= 255))),
    CONSTRAINT key_kind_check CHECK ((kind = ANY (ARRAY['tag'::text, 'seal'::text]))),
    CONSTRAINT key_state_check CHECK ((state = ANY (ARRAY['new'::text, 'current'::text, 'old'::text, 'retired'::text, 'destroyed'::text])))
);

COMMENT ON TABLE agi_router.key IS 'Keys that rows here were written with. The keys themselves are kept outside the database.';

COMMENT ON COLUMN agi_router.key.kind IS 'tag: hash to look callers up by; seal: encryption of callees';

COMMENT ON COLUMN agi_router.key.id IS 'Key id, as in the key ring and in sealed values';

COMMENT ON COLUMN agi_router.key.fingerprint IS 'Keyed hash of a constant: tells a wrong key from the right one';

COMMENT ON COLUMN agi_router.key.seen_at IS 'When the key was first used on this database';

COMMENT ON COLUMN agi_router.key.state IS 'new: known, not written with yet; current: written with; old: only read with; retired: no row needs it; destroyed: it is nowhere any more, and rows that are over cannot be read';

COMMENT ON COLUMN agi_router.key.current_at IS 'When it became the current one; null: not yet';

COMMENT ON COLUMN agi_router.key.sealed_before IS 'How many values had been sealed when it became the current one';

CREATE TABLE agi_router.lock (
    id bigint NOT NULL,
    subject text NOT NULL,
    key bigint NOT NULL,
    sealed bytea,
    tenant_id integer,
    reason text NOT NULL,
    rule text,
    note text,
    setter_id integer,
    set_by text NOT NULL,
    set_at timestamp with time zone NOT NULL,
    starts_at timestamp with time zone NOT NULL,
    ends_at timestamp with time zone,
    over_at timestamp with time zone,
    lifted_by text,
    lift_note text,
    cut boolean DEFAULT false NOT NULL,
    CONSTRAINT lock_lift_note_check CHECK (((length(lift_note) >= 1) AND (length(lift_note) <= 500))),
    CONSTRAINT lock_lifted_by_check CHECK (((length(lifted_by) >= 1) AND (length(lifted_by) <= 128))),
    CONSTRAINT lock_lifted_check CHECK (((lifted_by IS NULL) OR (over_at IS NOT NULL))),
    CONSTRAINT lock_note_check CHECK (((length(note) >= 1) AND (length(note) <= 500))),
    CONSTRAINT lock_reason_check CHECK ((reason = ANY (ARRAY['arrears'::text, 'misuse'::text, 'account_anomaly'::text, 'security_risk'::text, 'maintenance'::text]))),
    CONSTRAINT lock_rule_check CHECK (((length(rule) >= 1) AND (length(rule) <= 128))),
    CONSTRAINT lock_sealed_check CHECK (((sealed IS NOT NULL) = (subject = 'person'::text))),
    CONSTRAINT lock_set_by_check CHECK (((length(set_by) >= 1) AND (length(set_by) <= 128))),
    CONSTRAINT lock_subject_check CHECK ((subject = ANY (ARRAY['number'::text, 'person'::text, 'tenant'::text, 'block'::text]))),
    CONSTRAINT lock_tenant_check CHECK (((subject <> 'tenant'::text) OR (tenant_id = key))),
    CONSTRAINT lock_times_check CHECK ((ends_at > starts_at))
);

COMMENT ON TABLE agi_router.lock IS 'Locks: who or what neither calls, nor is called, nor is bound, why, and for how long; those that are over, too';

COMMENT ON COLUMN agi_router.lock.id IS 'Key';

COMMENT ON COLUMN agi_router.lock.subject IS 'What kind of thing is locked';

COMMENT ON COLUMN agi_router.lock.key IS 'What is locked: the 700 number, the tag of the person, the key of the tenant, or the block';

COMMENT ON COLUMN agi_router.lock.sealed IS 'Of a person: the number, sealed for this lock and this tag';

COMMENT ON COLUMN agi_router.lock.tenant_id IS 'The tenant that is locked, or for which alone a person is; null: everywhere';

COMMENT ON COLUMN agi_router.lock.reason IS 'Why';

COMMENT ON COLUMN agi_router.lock.rule IS 'The rule by which it was set, in the words of whoever has set it';

COMMENT ON COLUMN agi_router.lock.note IS 'What the person may be told';

COMMENT ON COLUMN agi_router.lock.setter_id IS 'The tenant that has set it, and alone beside the operator may lift it; null: the operator';

COMMENT ON COLUMN agi_router.lock.set_by IS 'The user of a host, or the API key, that has set it';

COMMENT ON COLUMN agi_router.lock.set_at IS 'When it was set';

COMMENT ON COLUMN agi_router.lock.starts_at IS 'From when it holds';

COMMENT ON COLUMN agi_router.lock.ends_at IS 'When it ends by itself; null: until it is reviewed';

COMMENT ON COLUMN agi_router.lock.over_at IS 'When it ended or was lifted; null while its marks stand';

COMMENT ON COLUMN agi_router.lock.lifted_by IS 'Who has lifted it; null: nobody, it ended by itself';

COMMENT ON COLUMN agi_router.lock.lift_note IS 'Why it was lifted';

COMMENT ON COLUMN agi_router.lock.cut IS 'Whether calls that are up as it begins are cut';

CREATE SEQUENCE agi_router.lock_id
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

COMMENT ON SEQUENCE agi_router.lock_id IS 'Numbers of locks; gaps mean nothing';

CREATE TABLE agi_router.lock_mark (
    key bigint NOT NULL,
    lock_id bigint NOT NULL,
    subject text NOT NULL,
    reason text,
    tenant_id integer,
    sealed bytea,
    starts_at timestamp with time zone NOT NULL,
    ends_at timestamp with time zone,
    other_key bigint,
    other_sealed bytea,
    direction text,
    cut boolean DEFAULT false NOT NULL,
    appeal text,
    CONSTRAINT lock_mark_subject_check CHECK ((((subject = 'blocklist'::text) = (direction IS NOT NULL)) AND ((subject = 'blocklist'::text) = (reason IS NULL))))
);

COMMENT ON TABLE agi_router.lock_mark IS 'What calls and binds find live locks by, and calls the live entries of block lists: one look finds both';

COMMENT ON COLUMN agi_router.lock_mark.key IS 'What is locked, see lock.key; of a person the tag under one of the keys';

COMMENT ON COLUMN agi_router.lock_mark.lock_id IS 'The lock, or the entry of a block list';

COMMENT ON COLUMN agi_router.lock_mark.subject IS 'What kind of thing is locked; blocklist: nothing is, it is the mark of an entry';

COMMENT ON COLUMN agi_router.lock_mark.reason IS 'Why; null of an entry';

COMMENT ON COLUMN agi_router.lock_mark.tenant_id IS 'For which tenant alone it holds; null: for all';

COMMENT ON COLUMN agi_router.lock_mark.sealed IS 'Of a person: the number, sealed for this lock and this tag';

COMMENT ON COLUMN agi_router.lock_mark.starts_at IS 'From when it holds';

COMMENT ON COLUMN agi_router.lock_mark.ends_at IS 'Until when it holds; null: until it is reviewed, or removed';

COMMENT ON COLUMN agi_router.lock_mark.other_key IS 'Of an entry: tag of the other person, of the key of key; null: anybody';

COMMENT ON COLUMN agi_router.lock_mark.other_sealed IS 'Of an entry: the number of the other person, sealed for this entry and that tag';

COMMENT ON COLUMN agi_router.lock_mark.direction IS 'Of an entry: what is refused, see blocklist.direction; null of a lock';

COMMENT ON COLUMN agi_router.lock_mark.cut IS 'Whether calls that are up as it begins are cut';

COMMENT ON COLUMN agi_router.lock_mark.appeal IS 'What has become of the last appeal against the lock; null: there was none';

CREATE TABLE agi_router.message (
    block bigint NOT NULL,
    id text NOT NULL,
    day date NOT NULL,
    x_number bigint NOT NULL,
    binding_id bigint NOT NULL,
    tenant_id integer NOT NULL,
    side text NOT NULL,
    shown bigint NOT NULL,
    link_in text NOT NULL,
    octets integer NOT NULL,
    parts integer NOT NULL,
    received_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    state text DEFAULT 'queued'::text NOT NULL,
    reason text,
    status integer,
    attempts integer DEFAULT 0 NOT NULL,
    maybe_twice boolean DEFAULT false NOT NULL,
    done_at timestamp with time zone,
    check_id uuid,
    check_verdict text,
    check_ms integer,
    tenant_check_id uuid,
    tenant_check_verdict text,
    tenant_check_ms integer
)
PARTITION BY RANGE (day);

COMMENT ON TABLE agi_router.message IS 'One row per text that was accepted, without what it said; a partition per day, kept as long as calls';

COMMENT ON COLUMN agi_router.message.block IS 'Block of the number it was sent to';

COMMENT ON COLUMN agi_router.message.id IS 'Its name: block, second and a random number';

COMMENT ON COLUMN agi_router.message.day IS 'Day (UTC) of the second in the id; the partition';

COMMENT ON COLUMN agi_router.message.x_number IS 'The 700 number it was sent to';

COMMENT ON COLUMN agi_router.message.binding_id IS 'Binding it used';

COMMENT ON COLUMN agi_router.message.tenant_id IS 'Tenant whose binding it used';

COMMENT ON COLUMN agi_router.message.side IS 'Side the sender stood on';

COMMENT ON COLUMN agi_router.message.shown IS '700 number that its receiver is shown';

COMMENT ON COLUMN agi_router.message.link_in IS 'The door it came in by; http: its carrier keeps it, and has asked';

COMMENT ON COLUMN agi_router.message.octets IS 'Length of what it said, in UTF-8';

COMMENT ON COLUMN agi_router.message.parts IS 'How many short messages it is, of 160 or 153 characters of the alphabet of seven bits, or of 70 or 67 others';

COMMENT ON COLUMN agi_router.message.received_at IS 'When it was accepted';

COMMENT ON COLUMN agi_router.message.expires_at IS 'When it is given up';

COMMENT ON COLUMN agi_router.message.state IS 'held: owed once somebody releases it; queued: owed; sent: the next hop has taken it; failed: it never will; expired: its time was over; delivered, undelivered, unknown: what its receipts tell, where there are any';

COMMENT ON COLUMN agi_router.message.reason IS 'Why it was not sent; null: it was, or may be yet';

COMMENT ON COLUMN agi_router.message.status IS 'Final status of the last try, of the protocol it went out by; null: none';

COMMENT ON COLUMN agi_router.message.attempts IS 'How often it was tried';

COMMENT ON COLUMN agi_router.message.maybe_twice IS 'Whether a try was begun of which nobody knows how it ended; it may have arrived by that one';

COMMENT ON COLUMN agi_router.message.done_at IS 'When it reached a final state';

COMMENT ON COLUMN agi_router.message.check_id IS 'Id of the question to the operator''s verification service; null: it was not asked';

COMMENT ON COLUMN agi_router.message.check_verdict IS 'What became of it: yes';

COMMENT ON COLUMN agi_router.message.check_ms IS 'Milliseconds that it took';

COMMENT ON COLUMN agi_router.message.tenant_check_id IS 'Id of the question to the service of the tenant; null: it was not asked';

COMMENT ON COLUMN agi_router.message.tenant_check_verdict IS 'What became of it: yes, unavailable';

COMMENT ON COLUMN agi_router.message.tenant_check_ms IS 'Milliseconds that it took';

CREATE TABLE agi_router.message_link (
    name text NOT NULL,
    holder text NOT NULL,
    node text NOT NULL,
    until timestamp with time zone NOT NULL,
    up_since timestamp with time zone,
    drained boolean DEFAULT false NOT NULL,
    heard_at timestamp with time zone NOT NULL
);

COMMENT ON TABLE agi_router.message_link IS 'Links to message centres, and who has each';

COMMENT ON COLUMN agi_router.message_link.name IS 'Its name, as AGI_ROUTER_SMPP_LINK has it';

COMMENT ON COLUMN agi_router.message_link.holder IS 'The process that has it, or had it last';

COMMENT ON COLUMN agi_router.message_link.node IS 'The machine of that process';

COMMENT ON COLUMN agi_router.message_link.until IS 'When another process may take it';

COMMENT ON COLUMN agi_router.message_link.up_since IS 'Since when it is bound; null: it is not';

COMMENT ON COLUMN agi_router.message_link.drained IS 'Whether an operator wants it to be unbound';

COMMENT ON COLUMN agi_router.message_link.heard_at IS 'What was answered before this moment the message centre has heard, and does not send again';

CREATE TABLE agi_router.message_other (
    block bigint NOT NULL,
    id text NOT NULL,
    day date NOT NULL,
    x_number bigint NOT NULL,
    binding_id bigint NOT NULL,
    tenant_id integer NOT NULL,
    side text NOT NULL,
    shown bigint NOT NULL,
    link_in text NOT NULL,
    octets integer NOT NULL,
    parts integer NOT NULL,
    received_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    state text DEFAULT 'queued'::text NOT NULL,
    reason text,
    status integer,
    attempts integer DEFAULT 0 NOT NULL,
    maybe_twice boolean DEFAULT false NOT NULL,
    done_at timestamp with time zone,
    check_id uuid,
    check_verdict text,
    check_ms integer,
    tenant_check_id uuid,
    tenant_check_verdict text,
    tenant_check_ms integer
);

COMMENT ON TABLE agi_router.message_other IS 'Texts of days for which no partition was made';

CREATE TABLE agi_router.message_out (
    block bigint NOT NULL,
    id text NOT NULL,
    day date NOT NULL,
    binding_id bigint NOT NULL,
    link_out text NOT NULL,
    received_at timestamp with time zone NOT NULL,
    next_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    in_hand boolean DEFAULT false NOT NULL,
    maybe_twice boolean DEFAULT false NOT NULL,
    held boolean DEFAULT false NOT NULL,
    x_number bigint NOT NULL,
    caller_tag bigint NOT NULL,
    side text NOT NULL,
    shown bigint NOT NULL,
    purpose text NOT NULL,
    callee bytea NOT NULL,
    stranger_tag bigint,
    body bytea NOT NULL
)
WITH (fillfactor='70');

COMMENT ON TABLE agi_router.message_out IS 'Texts that are owed, with what they say and to whom they go, sealed; what has a final state is deleted';

COMMENT ON COLUMN agi_router.message_out.block IS 'Block of the text';

COMMENT ON COLUMN agi_router.message_out.id IS 'The text';

COMMENT ON COLUMN agi_router.message_out.day IS 'Its day';

COMMENT ON COLUMN agi_router.message_out.binding_id IS 'Binding it used';

COMMENT ON COLUMN agi_router.message_out.link_out IS 'The door it goes out by: no other takes it';

COMMENT ON COLUMN agi_router.message_out.received_at IS 'When it was accepted';

COMMENT ON COLUMN agi_router.message_out.next_at IS 'When it is tried next; while it is in hand, when it is given to another';

COMMENT ON COLUMN agi_router.message_out.expires_at IS 'When it is given up';

COMMENT ON COLUMN agi_router.message_out.attempts IS 'How often it was taken to be sent';

COMMENT ON COLUMN agi_router.message_out.in_hand IS 'Whether a try is under way, or was when its door died';

COMMENT ON COLUMN agi_router.message_out.maybe_twice IS 'Whether a try was taken of which nobody knows how it ended';

COMMENT ON COLUMN agi_router.message_out.held IS 'Whether it waits for its release, until next_at: then it is not sent';

COMMENT ON COLUMN agi_router.message_out.x_number IS 'Number of the route that callee is sealed for';

COMMENT ON COLUMN agi_router.message_out.caller_tag IS 'Tag of that route';

COMMENT ON COLUMN agi_router.message_out.side IS 'Side of that route';

COMMENT ON COLUMN agi_router.message_out.shown IS '700 number of that route, which the receiver is shown';

COMMENT ON COLUMN agi_router.message_out.purpose IS 'What callee stands for in that route';

COMMENT ON COLUMN agi_router.message_out.callee IS 'Who receives it, sealed as in that route; of several the first';

COMMENT ON COLUMN agi_router.message_out.stranger_tag IS 'Tag of who receives it, where that is a stranger whom A of AX answers';

COMMENT ON COLUMN agi_router.message_out.body IS 'What it says, sealed for its id';

CREATE TABLE agi_router.message_part (
    block bigint NOT NULL,
    same bytea NOT NULL,
    number integer NOT NULL,
    content bytea NOT NULL,
    sealed bytea,
    at timestamp with time zone NOT NULL,
    CONSTRAINT message_part_content_check CHECK ((length(content) = 32)),
    CONSTRAINT message_part_same_check CHECK ((length(same) = 32))
);

COMMENT ON TABLE agi_router.message_part IS 'Parts of texts that are not whole yet; for a while those of texts that are';

COMMENT ON COLUMN agi_router.message_part.block IS 'Block of the number that the text is sent to';

COMMENT ON COLUMN agi_router.message_part.same IS 'Keyed hash of what all parts of a text have alike';

COMMENT ON COLUMN agi_router.message_part.number IS 'Its place, from 1';

COMMENT ON COLUMN agi_router.message_part.content IS 'Keyed hash of what it says';

COMMENT ON COLUMN agi_router.message_part.sealed IS 'What it says, sealed; null once the text was taken or refused';

COMMENT ON COLUMN agi_router.message_part.at IS 'When it came';

CREATE TABLE agi_router.message_rule (
    tenant_id integer NOT NULL,
    version integer NOT NULL,
    numbers text NOT NULL,
    words text[] NOT NULL,
    templates text[] NOT NULL,
    opt_out text[] NOT NULL,
    hold interval,
    checked boolean DEFAULT false NOT NULL,
    changed_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT message_rule_hold_check CHECK ((hold > '00:00:00'::interval)),
    CONSTRAINT message_rule_numbers_check CHECK ((numbers = ANY (ARRAY['pass'::text, 'redact'::text, 'refuse'::text])))
);

COMMENT ON TABLE agi_router.message_rule IS 'What tenants have said about the texts of their bindings';

COMMENT ON COLUMN agi_router.message_rule.tenant_id IS 'Whose bindings';

COMMENT ON COLUMN agi_router.message_rule.version IS 'Another one for each change; see tenant.message_rules';

COMMENT ON COLUMN agi_router.message_rule.numbers IS 'What becomes of a text that tells a phone number';

COMMENT ON COLUMN agi_router.message_rule.words IS 'A text with one of them is refused';

COMMENT ON COLUMN agi_router.message_rule.templates IS 'Where there are any, a text that is none of them is refused';

COMMENT ON COLUMN agi_router.message_rule.opt_out IS 'Who sends nothing but one of them is texted by that binding no more';

COMMENT ON COLUMN agi_router.message_rule.hold IS 'How long a text waits for its release; null: it does not';

COMMENT ON COLUMN agi_router.message_rule.checked IS 'Whether the service of tenant_check is asked about each, before it is taken';

COMMENT ON COLUMN agi_router.message_rule.changed_at IS 'When they were changed last';

CREATE TABLE agi_router.message_seen (
    block bigint NOT NULL,
    same bytea NOT NULL,
    id text NOT NULL,
    link text NOT NULL,
    at timestamp with time zone NOT NULL,
    asked bytea,
    receiver_tag bigint
);

COMMENT ON TABLE agi_router.message_seen IS 'Requests by which texts were accepted, while their senders may repeat them';

COMMENT ON COLUMN agi_router.message_seen.block IS 'Block of the text';

COMMENT ON COLUMN agi_router.message_seen.same IS 'Keyed hash of what makes the request the same as another';

COMMENT ON COLUMN agi_router.message_seen.id IS 'The text';

COMMENT ON COLUMN agi_router.message_seen.link IS 'Door by which it came';

COMMENT ON COLUMN agi_router.message_seen.at IS 'When it was accepted';

COMMENT ON COLUMN agi_router.message_seen.asked IS 'By HTTP, where a key says what is the same: keyed hash of what was asked for; null: by a door for texts';

COMMENT ON COLUMN agi_router.message_seen.receiver_tag IS 'Tag of whom its carrier was told, where that keeps the text: it is told nobody else of the same one';

CREATE TABLE agi_router.message_sent (
    link text NOT NULL,
    remote_id text NOT NULL,
    block bigint,
    id text,
    day date,
    part integer,
    total integer,
    state text,
    until timestamp with time zone NOT NULL
);

COMMENT ON TABLE agi_router.message_sent IS 'Short messages that message centres have taken, and receipts; one row of both, whichever comes first';

COMMENT ON COLUMN agi_router.message_sent.link IS 'The link it went out by';

COMMENT ON COLUMN agi_router.message_sent.remote_id IS 'What the message centre calls it, in the form in which its answer and its receipt agree';

COMMENT ON COLUMN agi_router.message_sent.block IS 'Block of the text; null: a receipt has come, and not the answer before it';

COMMENT ON COLUMN agi_router.message_sent.id IS 'The text';

COMMENT ON COLUMN agi_router.message_sent.day IS 'Its day';

COMMENT ON COLUMN agi_router.message_sent.part IS 'Which of its short messages this is, from 1';

COMMENT ON COLUMN agi_router.message_sent.total IS 'How many it has';

COMMENT ON COLUMN agi_router.message_sent.state IS 'What the receipt tells; null: none has come';

COMMENT ON COLUMN agi_router.message_sent.until IS 'When nobody waits for the other side any more';

CREATE TABLE agi_router.migration (
    number integer NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);

COMMENT ON TABLE agi_router.migration IS 'Migrations applied to this database';

COMMENT ON COLUMN agi_router.migration.number IS 'Number of the file';

COMMENT ON COLUMN agi_router.migration.name IS 'Name of the file';

COMMENT ON COLUMN agi_router.migration.checksum IS 'SHA-256 of the file';

COMMENT ON COLUMN agi_router.migration.applied_at IS 'When it was applied';

CREATE TABLE agi_router.new_owner (
    person_id bigint NOT NULL,
    since timestamp with time zone NOT NULL
);

COMMENT ON TABLE agi_router.new_owner IS 'Persons of the register whose number a carrier gave to somebody else: what was said of it before counts no longer';

COMMENT ON COLUMN agi_router.new_owner.person_id IS 'The person, see person_mark';

COMMENT ON COLUMN agi_router.new_owner.since IS 'Since when the number is that of the new owner, as a feed has said';

CREATE TABLE agi_router.node (
    name text NOT NULL,
    entity_id text NOT NULL,
    started_at timestamp with time zone NOT NULL,
    seen_at timestamp with time zone NOT NULL,
    CONSTRAINT node_entity_id_check CHECK ((length(entity_id) <= 64)),
    CONSTRAINT node_name_check CHECK ((length(name) <= 64))
);

COMMENT ON TABLE agi_router.node IS 'The Asterisks whose calls are kept here; a row is written by whoever reconciles its calls';

COMMENT ON COLUMN agi_router.node.name IS 'systemname of its asterisk.conf, the prefix of its call ids; empty if it has none';

COMMENT ON COLUMN agi_router.node.entity_id IS 'Its entity id, of asterisk.conf or made from a network card; the same for two on one machine';

COMMENT ON COLUMN agi_router.node.started_at IS 'When it started, by its own clock: of two that are alike, a later start than ours is another one';

COMMENT ON COLUMN agi_router.node.seen_at IS 'When a router asked it last; after two minutes of silence its name may be taken';

CREATE UNLOGGED TABLE agi_router.nonce (
    digest bytea NOT NULL,
    taken_at timestamp with time zone NOT NULL,
    CONSTRAINT nonce_digest_check CHECK ((length(digest) = 32))
);

COMMENT ON TABLE agi_router.nonce IS 'Nonces of signed requests, while their dates are good';

COMMENT ON COLUMN agi_router.nonce.digest IS 'SHA-256 of API key, date and nonce';

COMMENT ON COLUMN agi_router.nonce.taken_at IS 'When the request came';

CREATE UNLOGGED TABLE agi_router.nonce_since (
    key_id text NOT NULL,
    since timestamp with time zone NOT NULL
);

COMMENT ON TABLE agi_router.nonce_since IS 'Since when the nonces of an API key are known; it is forgotten with them';

COMMENT ON COLUMN agi_router.nonce_since.key_id IS 'The API key';

COMMENT ON COLUMN agi_router.nonce_since.since IS 'What was signed until then is refused';

CREATE TABLE agi_router.notice (
    tenant_id integer NOT NULL,
    type text NOT NULL,
    subject text NOT NULL,
    looked_at timestamp with time zone NOT NULL,
    told_at timestamp with time zone,
    over_at timestamp with time zone,
    CONSTRAINT notice_type_check CHECK ((type = ANY (ARRAY['block.expiring'::text, 'pool.low'::text])))
);

COMMENT ON TABLE agi_router.notice IS 'What tenants were told of their numbers, or would be if it were so, and when somebody has looked';

COMMENT ON COLUMN agi_router.notice.tenant_id IS 'Who is told';

COMMENT ON COLUMN agi_router.notice.type IS 'Type of the event';

COMMENT ON COLUMN agi_router.notice.subject IS 'The block, or the name of the pool; empty: all blocks that are kept for the tenant';

COMMENT ON COLUMN agi_router.notice.looked_at IS 'When somebody has looked last';

COMMENT ON COLUMN agi_router.notice.told_at IS 'When it was told last; null: never';

COMMENT ON COLUMN agi_router.notice.over_at IS 'When somebody has looked last and it was not so; null: it always was';

CREATE TABLE agi_router.old_number (
    number text NOT NULL,
    x_number bigint NOT NULL,
    tenant_id integer NOT NULL,
    moved_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT old_number_number_check CHECK ((number ~ '^[0-9]{3,20}$'::text)),
    CONSTRAINT old_number_x_number_check CHECK (((x_number / '1000000000000'::bigint) = 700))
);

COMMENT ON TABLE agi_router.old_number IS 'Middle numbers of before the move to 700: who calls one hears that it has changed';

COMMENT ON COLUMN agi_router.old_number.number IS 'The number as people dial it within the country, digits alone; it is nobody''s own';

COMMENT ON COLUMN agi_router.old_number.x_number IS 'The 700 number that has come in its place, under which calls to the old one are on record';

COMMENT ON COLUMN agi_router.old_number.tenant_id IS 'Whose it was';

COMMENT ON COLUMN agi_router.old_number.moved_at IS 'When it was moved last';

CREATE TABLE agi_router.party_group (
    id integer NOT NULL,
    tenant_id integer NOT NULL,
    name text NOT NULL,
    label text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    version bigint DEFAULT nextval('agi_router.group_version'::regclass) NOT NULL,
    CONSTRAINT party_group_label_check CHECK (((length(label) >= 1) AND (length(label) <= 400))),
    CONSTRAINT party_group_name_check CHECK ((name ~ '^[A-Za-z][A-Za-z0-9._-]{0,63}$'::text))
);

COMMENT ON TABLE agi_router.party_group IS 'Named sets of parties of tenants: the side A of many bindings';

COMMENT ON COLUMN agi_router.party_group.id IS 'Key';

COMMENT ON COLUMN agi_router.party_group.tenant_id IS 'Whose it is';

COMMENT ON COLUMN agi_router.party_group.name IS 'What its tenant calls it: no other of its groups has this name';

COMMENT ON COLUMN agi_router.party_group.label IS 'Text of the tenant''s own; comes back with it';

COMMENT ON COLUMN agi_router.party_group.created_at IS 'When it was added';

COMMENT ON COLUMN agi_router.party_group.version IS 'Another one each time that it is said what it is, or who is in it';

ALTER TABLE agi_router.party_group ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME agi_router.party_group_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE agi_router.past_route (
    block bigint NOT NULL,
    x_number bigint NOT NULL,
    caller_tag bigint NOT NULL,
    binding_id bigint NOT NULL,
    shown bigint,
    side text NOT NULL,
    callee bytea,
    callee_tags bigint[],
    caller bytea,
    left_group boolean DEFAULT false NOT NULL,
    removed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    begins_at timestamp with time zone NOT NULL,
    ends_at timestamp with time zone NOT NULL
);

COMMENT ON TABLE agi_router.past_route IS 'Routes taken out of use: of ended bindings whose place was taken or whose rest is over, of members who left, and of parties before one of them was replaced';

COMMENT ON COLUMN agi_router.past_route.block IS 'Block of the number';

COMMENT ON COLUMN agi_router.past_route.x_number IS 'The 700 number dialled';

COMMENT ON COLUMN agi_router.past_route.caller_tag IS 'Tag of the caller, or of the extension typed; 0: anyone';

COMMENT ON COLUMN agi_router.past_route.binding_id IS 'The binding it was compiled from';

COMMENT ON COLUMN agi_router.past_route.shown IS 'The 700 number that the callee is shown';

COMMENT ON COLUMN agi_router.past_route.side IS 'Side the caller stands on';

COMMENT ON COLUMN agi_router.past_route.callee IS 'Real numbers to ring, sealed; null: nobody is to ring';

COMMENT ON COLUMN agi_router.past_route.callee_tags IS 'Tags of those whom callee rings, in its order; null: nobody';

COMMENT ON COLUMN agi_router.past_route.caller IS 'A group''s member itself, sealed for the row of B; null in modes without a group';

COMMENT ON COLUMN agi_router.past_route.left_group IS 'Whether it ended while the binding lived: of a member who left, or of parties one of whom was replaced';

COMMENT ON COLUMN agi_router.past_route.removed_at IS 'When it was taken out of route';

COMMENT ON COLUMN agi_router.past_route.begins_at IS 'When its party was let onto the number';

COMMENT ON COLUMN agi_router.past_route.ends_at IS 'When its binding ended, or its party left';

CREATE SEQUENCE agi_router.person_id
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

COMMENT ON SEQUENCE agi_router.person_id IS 'Numbers of persons; gaps mean nothing';

CREATE TABLE agi_router.person_mark (
    tag bigint NOT NULL,
    person_id bigint NOT NULL,
    digest bytea NOT NULL,
    sealed bytea NOT NULL,
    CONSTRAINT person_mark_digest_check CHECK ((length(digest) = 32))
);

COMMENT ON TABLE agi_router.person_mark IS 'By what persons are found of whom lines are kept: one row for each tag key';

COMMENT ON COLUMN agi_router.person_mark.tag IS 'Tag of the person under one of the keys; may be that of another one, too';

COMMENT ON COLUMN agi_router.person_mark.person_id IS 'The person';

COMMENT ON COLUMN agi_router.person_mark.digest IS 'The keyed hash that the tag is the beginning of: nobody else has it';

COMMENT ON COLUMN agi_router.person_mark.sealed IS 'Its number, sealed for this person and this tag';

CREATE TABLE agi_router.pool (
    id integer NOT NULL,
    tenant_id integer NOT NULL,
    name text NOT NULL,
    blocks bigint[] DEFAULT '{}'::bigint[] NOT NULL,
    operator_digit integer,
    mode text,
    callback text,
    callback_window integer,
    language text,
    prompts text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    CONSTRAINT pool_callback_check CHECK ((callback = ANY (ARRAY['default'::text, 'last'::text, 'all'::text, 'sequence'::text]))),
    CONSTRAINT pool_callback_window_check CHECK ((callback_window > 0)),
    CONSTRAINT pool_language_check CHECK ((language = ANY (ARRAY['zh'::text, 'en'::text]))),
    CONSTRAINT pool_mode_check CHECK ((mode ~ '^[a-z]{2,8}$'::text)),
    CONSTRAINT pool_name_check CHECK ((name ~ '^[A-Za-z][A-Za-z0-9._-]{0,63}$'::text)),
    CONSTRAINT pool_operator_digit_check CHECK (((operator_digit >= 0) AND (operator_digit <= 9))),
    CONSTRAINT pool_prompts_check CHECK ((prompts ~ '^[a-z0-9][a-z0-9_-]{0,15}$'::text))
);

COMMENT ON TABLE agi_router.pool IS 'Named sets of 700 numbers of tenants, with what bindings on them have by default';

COMMENT ON COLUMN agi_router.pool.id IS 'Key';

COMMENT ON COLUMN agi_router.pool.tenant_id IS 'Whose it is';

COMMENT ON COLUMN agi_router.pool.name IS 'What its tenant calls it: no other of its pools has this name';

COMMENT ON COLUMN agi_router.pool.blocks IS 'Numbers come from these blocks alone; none: from all that are open to the tenant';

COMMENT ON COLUMN agi_router.pool.operator_digit IS 'Numbers have this digit after 700; null: any';

COMMENT ON COLUMN agi_router.pool.mode IS 'The only mode of its bindings, and that of those that say none; null: any. Which there are, check_binding says';

COMMENT ON COLUMN agi_router.pool.callback IS 'Who is called back, where a binding does not say';

COMMENT ON COLUMN agi_router.pool.callback_window IS 'Seconds for which who called last is, where a binding does not say';

COMMENT ON COLUMN agi_router.pool.language IS 'Language of prompts, where a binding does not say';

COMMENT ON COLUMN agi_router.pool.prompts IS 'Set of prompts, where a binding does not say';

COMMENT ON COLUMN agi_router.pool.created_at IS 'When it was added';

COMMENT ON COLUMN agi_router.pool.version IS 'How often it was said what it is';

ALTER TABLE agi_router.pool ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME agi_router.pool_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE agi_router.quota_count (
    tenant_id integer NOT NULL,
    alive bigint,
    mark bigint,
    counted_at timestamp with time zone
);

COMMENT ON TABLE agi_router.quota_count IS 'How many bindings of tenants with quotas lived when they were counted; locked by those who are near a quota';

COMMENT ON COLUMN agi_router.quota_count.tenant_id IS 'Whose';

COMMENT ON COLUMN agi_router.quota_count.alive IS 'How many lived; null: not counted yet';

COMMENT ON COLUMN agi_router.quota_count.mark IS 'How many had been made in all then';

COMMENT ON COLUMN agi_router.quota_count.counted_at IS 'When they were counted';

CREATE TABLE agi_router.quota_use (
    tenant_id integer NOT NULL,
    place smallint NOT NULL,
    day date NOT NULL,
    binds integer NOT NULL,
    in_all bigint NOT NULL
)
WITH (fillfactor='50');

COMMENT ON TABLE agi_router.quota_use IS 'How many bindings were made for tenants with quotas';

COMMENT ON COLUMN agi_router.quota_use.tenant_id IS 'For whom';

COMMENT ON COLUMN agi_router.quota_use.place IS 'One of several that are counted in; their sum counts';

COMMENT ON COLUMN agi_router.quota_use.day IS 'The last day (UTC) on which any was made';

COMMENT ON COLUMN agi_router.quota_use.binds IS 'How many on that day';

COMMENT ON COLUMN agi_router.quota_use.in_all IS 'How many since it has a quota';

CREATE TABLE agi_router.real_name (
    id bigint NOT NULL,
    tenant_id integer,
    person_id bigint NOT NULL,
    status text NOT NULL,
    source text NOT NULL,
    checked_at timestamp with time zone NOT NULL,
    added_at timestamp with time zone NOT NULL,
    added_by text NOT NULL,
    CONSTRAINT real_name_added_by_check CHECK (((length(added_by) >= 1) AND (length(added_by) <= 128))),
    CONSTRAINT real_name_source_check CHECK (((length(source) >= 1) AND (length(source) <= 64))),
    CONSTRAINT real_name_status_check CHECK ((status = ANY (ARRAY['yes'::text, 'no'::text, 'unknown'::text])))
);

COMMENT ON TABLE agi_router.real_name IS 'Whether persons are known by their real name: whoever serves adds lines, changes none, and deletes what was replaced two years ago; for which one speaks see agi_router.find_real_names';

COMMENT ON COLUMN agi_router.real_name.id IS 'Key; of lines about one person a later one is greater';

COMMENT ON COLUMN agi_router.real_name.tenant_id IS 'For which tenant alone it counts, which has said it; null: the operator has, and it counts for all';

COMMENT ON COLUMN agi_router.real_name.person_id IS 'Of whom it is said, see person_mark';

COMMENT ON COLUMN agi_router.real_name.status IS 'yes: checked; no: checked, and it is not so; unknown: nobody knows any more';

COMMENT ON COLUMN agi_router.real_name.source IS 'Who has checked';

COMMENT ON COLUMN agi_router.real_name.checked_at IS 'When that was';

COMMENT ON COLUMN agi_router.real_name.added_at IS 'When it was written down';

COMMENT ON COLUMN agi_router.real_name.added_by IS 'The user of a host, or the API key, that has written it';

ALTER TABLE agi_router.real_name ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME agi_router.real_name_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE agi_router.recording (
    block bigint NOT NULL,
    call_id text NOT NULL,
    day date NOT NULL,
    x_number bigint NOT NULL,
    tenant_id integer,
    binding_id bigint,
    name text,
    vault text,
    state text NOT NULL,
    gap text,
    begun_at timestamp with time zone NOT NULL,
    added_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    length_ms integer NOT NULL,
    octets bigint NOT NULL,
    sha256 bytea,
    cipher text,
    sealed_key bytea,
    CONSTRAINT recording_cipher_check CHECK ((cipher = ANY (ARRAY['aes-256-gcm'::text, 'sm4-gcm'::text]))),
    CONSTRAINT recording_file_check CHECK (((sealed_key IS NULL) OR ((name IS NOT NULL) AND (cipher IS NOT NULL) AND (sha256 IS NOT NULL)))),
    CONSTRAINT recording_gap_check CHECK ((gap = ANY (ARRAY['no_notice'::text, 'cut_off'::text, 'no_room'::text, 'lost'::text]))),
    CONSTRAINT recording_name_check CHECK ((name ~ '^[a-f]{8,120}$'::text)),
    CONSTRAINT recording_sealed_check CHECK (((state = ANY (ARRAY['ready'::text, 'partial'::text])) = (sealed_key IS NOT NULL))),
    CONSTRAINT recording_state_check CHECK ((state = ANY (ARRAY['ready'::text, 'partial'::text, 'missing'::text, 'deleted'::text])))
);

COMMENT ON TABLE agi_router.recording IS 'Recordings of calls, and which calls have none that were to be recorded';

COMMENT ON COLUMN agi_router.recording.block IS 'Block of the number dialled';

COMMENT ON COLUMN agi_router.recording.call_id IS 'The call';

COMMENT ON COLUMN agi_router.recording.day IS 'Day (UTC) of the call''s row';

COMMENT ON COLUMN agi_router.recording.x_number IS 'The 700 number dialled';

COMMENT ON COLUMN agi_router.recording.tenant_id IS 'Whose binding the call used; null: not known';

COMMENT ON COLUMN agi_router.recording.binding_id IS 'Binding that the call used; null: not known';

COMMENT ON COLUMN agi_router.recording.name IS 'Name of its file, letters alone; null: there never was one';

COMMENT ON COLUMN agi_router.recording.vault IS 'Name of the directory or bucket that its file lies in; null: there never was one';

COMMENT ON COLUMN agi_router.recording.state IS 'ready: all of it is there; partial: a part; missing: nothing ever was; deleted: its key was destroyed';

COMMENT ON COLUMN agi_router.recording.gap IS 'Why something is not there; null: all is, or was';

COMMENT ON COLUMN agi_router.recording.begun_at IS 'When the parties were joined; where nothing is known of it, when the call came';

COMMENT ON COLUMN agi_router.recording.added_at IS 'When it was put on record';

COMMENT ON COLUMN agi_router.recording.length_ms IS 'Milliseconds of sound';

COMMENT ON COLUMN agi_router.recording.octets IS 'Octets of its sealed file';

COMMENT ON COLUMN agi_router.recording.sha256 IS 'SHA-256 of its sealed file';

COMMENT ON COLUMN agi_router.recording.cipher IS 'By what it is sealed';

COMMENT ON COLUMN agi_router.recording.sealed_key IS 'The key of its file, sealed; null: there is none';

CREATE TABLE agi_router.recording_gone (
    name text NOT NULL,
    vault text NOT NULL,
    gone_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

COMMENT ON TABLE agi_router.recording_gone IS 'Files of recordings whose key was destroyed, and which are still to be removed';

COMMENT ON COLUMN agi_router.recording_gone.name IS 'Name of the file';

COMMENT ON COLUMN agi_router.recording_gone.vault IS 'Name of the directory or bucket that it lies in: whoever keeps recordings there removes it';

COMMENT ON COLUMN agi_router.recording_gone.gone_at IS 'When its key was destroyed';

CREATE TABLE agi_router.route (
    block bigint NOT NULL,
    x_number bigint NOT NULL,
    caller_tag bigint NOT NULL,
    binding_id bigint NOT NULL,
    shown bigint,
    side text NOT NULL,
    callee bytea,
    callee_tags bigint[],
    caller bytea,
    begins_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    ends_at timestamp with time zone NOT NULL,
    last_callee bytea,
    last_tag bigint,
    last_at timestamp with time zone,
    child_id bigint
);

COMMENT ON TABLE agi_router.route IS 'Compiled bindings: who dials what rings whom. The key is the rule: one caller on one number has one route';

COMMENT ON COLUMN agi_router.route.block IS 'Block of the number';

COMMENT ON COLUMN agi_router.route.x_number IS 'The 700 number dialled';

COMMENT ON COLUMN agi_router.route.caller_tag IS 'Tag of the caller, a keyed hash of the real number; or of the extension typed; 0: anyone';

COMMENT ON COLUMN agi_router.route.binding_id IS 'The binding it was compiled from';

COMMENT ON COLUMN agi_router.route.shown IS 'The 700 number that the callee is shown; null: to be made on the first call';

COMMENT ON COLUMN agi_router.route.side IS 'Side the caller stands on';

COMMENT ON COLUMN agi_router.route.callee IS 'Real numbers to ring, sealed, unless the last caller rings; null: nobody';

COMMENT ON COLUMN agi_router.route.callee_tags IS 'Tags of those whom callee rings, in its order, of the key of caller_tag; null: nobody';

COMMENT ON COLUMN agi_router.route.caller IS 'A group''s member itself, sealed for the row of B; A itself where Y is made on the first call';

COMMENT ON COLUMN agi_router.route.begins_at IS 'When its party was let onto the number';

COMMENT ON COLUMN agi_router.route.ends_at IS 'When its binding ended, or will end by time; of no matter to calls';

COMMENT ON COLUMN agi_router.route.last_callee IS 'Who called last, sealed for this row; where strangers may call, for tag 0 of the number';

COMMENT ON COLUMN agi_router.route.last_tag IS 'Tag of who called last; of a key that was current then or has become so since';

COMMENT ON COLUMN agi_router.route.last_at IS 'When that was';

COMMENT ON COLUMN agi_router.route.child_id IS 'The child binding whose Y is dialled or shown; null: the numbers live as long as the binding';

CREATE SEQUENCE agi_router.seals
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

COMMENT ON SEQUENCE agi_router.seals IS 'How many values were sealed, by whatever key; it counts those too that were rolled back';

CREATE TABLE agi_router.tenant (
    id integer NOT NULL,
    name text NOT NULL,
    active boolean DEFAULT true NOT NULL,
    qualified_from timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    qualified_until timestamp with time zone DEFAULT 'infinity'::timestamp with time zone NOT NULL,
    qualification text,
    qualified_by text,
    needs_order boolean DEFAULT false NOT NULL,
    scenes text[] DEFAULT '{}'::text[] NOT NULL,
    max_pair_binds integer,
    max_order_pairs integer,
    refuses_pairs boolean DEFAULT false NOT NULL,
    consent text DEFAULT 'off'::text NOT NULL,
    needs_real_name boolean DEFAULT false NOT NULL,
    ruled boolean GENERATED ALWAYS AS (((consent <> 'off'::text) OR needs_real_name OR (scenes <> '{}'::text[]) OR (max_pair_binds IS NOT NULL) OR (max_order_pairs IS NOT NULL) OR (bind_limits IS NOT NULL))) STORED NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    told text[] DEFAULT '{}'::text[] NOT NULL,
    unknown_numbers text DEFAULT 'ring'::text NOT NULL,
    has_check boolean DEFAULT false NOT NULL,
    notice boolean DEFAULT true NOT NULL,
    message_rules integer,
    max_bindings integer,
    max_binds integer,
    max_requests integer,
    hours text,
    time_zone text DEFAULT 'Asia/Shanghai'::text NOT NULL,
    call_limits jsonb,
    bind_limits jsonb,
    record boolean DEFAULT false NOT NULL,
    limited boolean GENERATED ALWAYS AS (((max_bindings IS NOT NULL) OR (max_binds IS NOT NULL))) STORED NOT NULL,
    told_of_calls boolean GENERATED ALWAYS AS (('call.admitted'::text = ANY (told))) STORED NOT NULL,
    told_of_answers boolean GENERATED ALWAYS AS (('call.answered'::text = ANY (told))) STORED NOT NULL,
    told_of_ends boolean GENERATED ALWAYS AS ((told && ARRAY['call.answered'::text, 'call.ended'::text, 'call.refused'::text])) STORED NOT NULL,
    CONSTRAINT tenant_consent_check CHECK ((consent = ANY (ARRAY['off'::text, 'asserted'::text, 'required'::text]))),
    CONSTRAINT tenant_hours_check CHECK (((length(hours) >= 1) AND (length(hours) <= 400))),
    CONSTRAINT tenant_max_bindings_check CHECK ((max_bindings > 0)),
    CONSTRAINT tenant_max_binds_check CHECK ((max_binds > 0)),
    CONSTRAINT tenant_max_order_pairs_check CHECK ((max_order_pairs > 0)),
    CONSTRAINT tenant_max_pair_binds_check CHECK ((max_pair_binds > 0)),
    CONSTRAINT tenant_max_requests_check CHECK ((max_requests > 0)),
    CONSTRAINT tenant_name_check CHECK ((name <> ''::text)),
    CONSTRAINT tenant_qualification_check CHECK (((length(qualification) >= 1) AND (length(qualification) <= 128))),
    CONSTRAINT tenant_qualified_by_check CHECK (((length(qualified_by) >= 1) AND (length(qualified_by) <= 128))),
    CONSTRAINT tenant_unknown_numbers_check CHECK ((unknown_numbers = ANY (ARRAY['ring'::text, 'hold'::text, 'refuse'::text])))
);

COMMENT ON TABLE agi_router.tenant IS 'Business users whose orders the bindings serve';

COMMENT ON COLUMN agi_router.tenant.id IS 'Key';

COMMENT ON COLUMN agi_router.tenant.name IS 'Name, unique';

COMMENT ON COLUMN agi_router.tenant.active IS 'False stops every call and every new binding of the tenant at once';

COMMENT ON COLUMN agi_router.tenant.qualified_from IS 'When its qualification begins: before it, no calls and no new bindings';

COMMENT ON COLUMN agi_router.tenant.qualified_until IS 'When its qualification ends: from then on, no calls and no new bindings';

COMMENT ON COLUMN agi_router.tenant.qualification IS 'Number of its qualification; null: not recorded';

COMMENT ON COLUMN agi_router.tenant.qualified_by IS 'Who has issued it; null: not recorded';

COMMENT ON COLUMN agi_router.tenant.needs_order IS 'Whether each of its bindings needs the id of an order';

COMMENT ON COLUMN agi_router.tenant.scenes IS 'Codes of the uses that it may bind for, one of which each binding names; none: they may name any';

COMMENT ON COLUMN agi_router.tenant.max_pair_binds IS 'So many times the same two may be bound within an hour; null: any number';

COMMENT ON COLUMN agi_router.tenant.max_order_pairs IS 'So many different parties may be bound by one order; beyond, it is told, or refused; null: any number';

COMMENT ON COLUMN agi_router.tenant.refuses_pairs IS 'Whether more parties of one order than that are refused';

COMMENT ON COLUMN agi_router.tenant.consent IS 'Whether its parties'' consent is asked for as they are bound: off; asserted: it states it with the bind, which is written down, or it is in the ledger; required: it is in the ledger';

COMMENT ON COLUMN agi_router.tenant.needs_real_name IS 'Whether nobody is bound whose real name is not known to be checked';

COMMENT ON COLUMN agi_router.tenant.ruled IS 'Whether its bindings are to keep rules of its own beside that of an order: only then they are looked at';

COMMENT ON COLUMN agi_router.tenant.created_at IS 'When it was added';

COMMENT ON COLUMN agi_router.tenant.told IS 'Types of events that are written for it; of none, events cost nothing';

COMMENT ON COLUMN agi_router.tenant.unknown_numbers IS 'What becomes of its bindings where a feed does not know whether a party''s number has a new owner: ring; hold, which keeps them from ringing until it is known; or refuse, which ends them';

COMMENT ON COLUMN agi_router.tenant.has_check IS 'Whether it has a row in tenant_check: each call looks here, and there only then';

COMMENT ON COLUMN agi_router.tenant.notice IS 'Whether both parties of each of its calls hear the anti-fraud notice before they are joined';

COMMENT ON COLUMN agi_router.tenant.message_rules IS 'Version of its row in message_rule; null: it has none. A text is taken only where it was judged by this one';

COMMENT ON COLUMN agi_router.tenant.max_bindings IS 'So many bindings of it may live at once; null: any number';

COMMENT ON COLUMN agi_router.tenant.max_binds IS 'So many may be made for it on a day; null: any number';

COMMENT ON COLUMN agi_router.tenant.max_requests IS 'So many requests may its API keys make in a minute together, at each process of the HTTP door; null: any number';

COMMENT ON COLUMN agi_router.tenant.hours IS 'Hours of the week in which calls and texts of its bindings go through that have none of their own; null: always';

COMMENT ON COLUMN agi_router.tenant.time_zone IS 'The time zone of its hours and of those of its bindings';

COMMENT ON COLUMN agi_router.tenant.call_limits IS 'How many of its calls go through in a time, as agi_router/calls/call_limits.py reads it; null: any number';

COMMENT ON COLUMN agi_router.tenant.bind_limits IS 'How many bindings are made of it in a time, as agi_router/tenants/bind_rates.py reads it; null: any number';

COMMENT ON COLUMN agi_router.tenant.record IS 'Whether calls of its bindings are recorded that do not say it themselves';

COMMENT ON COLUMN agi_router.tenant.limited IS 'Whether it has a quota: only then its binds are counted';

COMMENT ON COLUMN agi_router.tenant.told_of_calls IS 'Whether calls that are admitted are told to it';

COMMENT ON COLUMN agi_router.tenant.told_of_answers IS 'Whether it is told, while a call goes on, that its callee has answered';

COMMENT ON COLUMN agi_router.tenant.told_of_ends IS 'Whether calls that have ended, or were refused, are told to it: both or neither; both where answers are';

CREATE TABLE agi_router.tenant_check (
    tenant_id integer NOT NULL,
    url text NOT NULL,
    unanswered text NOT NULL,
    timeout_ms integer,
    secret bytea NOT NULL,
    old_secret bytea,
    old_until timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT tenant_check_old_secret_check CHECK (((old_secret IS NULL) = (old_until IS NULL))),
    CONSTRAINT tenant_check_timeout_ms_check CHECK (((timeout_ms >= 10) AND (timeout_ms <= 5000))),
    CONSTRAINT tenant_check_unanswered_check CHECK ((unanswered = ANY (ARRAY['ring'::text, 'refuse'::text]))),
    CONSTRAINT tenant_check_url_check CHECK (((length(url) >= 1) AND (length(url) <= 2000)))
);

COMMENT ON TABLE agi_router.tenant_check IS 'Services that tenants have asked about each of their calls before anybody rings';

COMMENT ON COLUMN agi_router.tenant_check.tenant_id IS 'Whose it is';

COMMENT ON COLUMN agi_router.tenant_check.url IS 'Address that questions are posted to';

COMMENT ON COLUMN agi_router.tenant_check.unanswered IS 'What becomes of a call about which it says nothing in time: ring, or refuse';

COMMENT ON COLUMN agi_router.tenant_check.timeout_ms IS 'Milliseconds that it has, if those are fewer than the operator lets it have; null: as many as that';

COMMENT ON COLUMN agi_router.tenant_check.secret IS 'What questions are signed with, sealed';

COMMENT ON COLUMN agi_router.tenant_check.old_secret IS 'The one before it, by which they are signed too, sealed';

COMMENT ON COLUMN agi_router.tenant_check.old_until IS 'Until when; null: there is none';

COMMENT ON COLUMN agi_router.tenant_check.created_at IS 'When it was made';

ALTER TABLE agi_router.tenant ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME agi_router.tenant_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE agi_router.webhook (
    id bigint NOT NULL,
    tenant_id integer NOT NULL,
    url text NOT NULL,
    types text[] NOT NULL,
    format text DEFAULT 'cloudevents'::text NOT NULL,
    numbers text DEFAULT 'masked'::text NOT NULL,
    batch smallint DEFAULT 1 NOT NULL,
    batch_wait smallint DEFAULT 0 NOT NULL,
    secret bytea,
    old_secret bytea,
    old_until timestamp with time zone,
    state text DEFAULT 'active'::text NOT NULL,
    failures integer DEFAULT 0 NOT NULL,
    failed_since timestamp with time zone,
    retry_at timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT webhook_batch_check CHECK (((batch >= 1) AND (batch <= 100))),
    CONSTRAINT webhook_batch_wait_check CHECK ((((batch_wait >= 0) AND (batch_wait <= 60)) AND ((batch_wait = 0) OR (batch > 1)))),
    CONSTRAINT webhook_format_check CHECK ((format = ANY (ARRAY['cloudevents'::text, 'ali'::text]))),
    CONSTRAINT webhook_numbers_check CHECK ((numbers = ANY (ARRAY['masked'::text, 'full'::text]))),
    CONSTRAINT webhook_old_secret_check CHECK (((old_secret IS NULL) = (old_until IS NULL))),
    CONSTRAINT webhook_secret_check CHECK (((secret IS NOT NULL) OR (state = 'removed'::text))),
    CONSTRAINT webhook_state_check CHECK ((state = ANY (ARRAY['active'::text, 'paused'::text, 'failed'::text, 'gone'::text, 'removed'::text]))),
    CONSTRAINT webhook_types_check CHECK ((cardinality(types) > 0)),
    CONSTRAINT webhook_url_check CHECK (((length(url) >= 1) AND (length(url) <= 2000)))
);

COMMENT ON TABLE agi_router.webhook IS 'Where a tenant has events sent to';

COMMENT ON COLUMN agi_router.webhook.id IS 'Key';

COMMENT ON COLUMN agi_router.webhook.tenant_id IS 'Whose it is';

COMMENT ON COLUMN agi_router.webhook.url IS 'Address that events are posted to';

COMMENT ON COLUMN agi_router.webhook.types IS 'Types of events that it gets';

COMMENT ON COLUMN agi_router.webhook.format IS 'cloudevents, or the one of an older service: ali';

COMMENT ON COLUMN agi_router.webhook.numbers IS 'Whether real numbers are masked in it or sent in full';

COMMENT ON COLUMN agi_router.webhook.batch IS 'So many events are sent in one request at most; 1: each by itself';

COMMENT ON COLUMN agi_router.webhook.batch_wait IS 'So many seconds a batch that is not full waits for more; 0: not at all';

COMMENT ON COLUMN agi_router.webhook.secret IS 'What events are signed with, sealed';

COMMENT ON COLUMN agi_router.webhook.old_secret IS 'The one before it, by which they are signed too, sealed';

COMMENT ON COLUMN agi_router.webhook.old_until IS 'Until when; null: there is none';

COMMENT ON COLUMN agi_router.webhook.state IS 'active; paused by its tenant; failed: no success for days; gone: it said so by 410; removed. Only active ones are sent to';

COMMENT ON COLUMN agi_router.webhook.failures IS 'Failed tries since the last success';

COMMENT ON COLUMN agi_router.webhook.failed_since IS 'When the first of them was; null: the last try succeeded';

COMMENT ON COLUMN agi_router.webhook.retry_at IS 'Nothing is sent before';

COMMENT ON COLUMN agi_router.webhook.version IS 'How often somebody has said what it is';

COMMENT ON COLUMN agi_router.webhook.created_at IS 'When it was made';

CREATE SEQUENCE agi_router.webhook_id
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

COMMENT ON SEQUENCE agi_router.webhook_id IS 'Numbers of webhooks; gaps mean nothing';

ALTER TABLE ONLY agi_router.call ATTACH PARTITION agi_router.call_other DEFAULT;

ALTER TABLE ONLY agi_router.event ATTACH PARTITION agi_router.event_other DEFAULT;

ALTER TABLE ONLY agi_router.message ATTACH PARTITION agi_router.message_other DEFAULT;

ALTER TABLE ONLY agi_router.answer
    ADD CONSTRAINT answer_pkey PRIMARY KEY (name);

ALTER TABLE ONLY agi_router.api_key
    ADD CONSTRAINT api_key_pkey PRIMARY KEY (id);

ALTER TABLE ONLY agi_router.api_key_use
    ADD CONSTRAINT api_key_use_pkey PRIMARY KEY (key_id);

ALTER TABLE ONLY agi_router.appeal_evidence
    ADD CONSTRAINT appeal_evidence_pkey PRIMARY KEY (appeal_id, kind, digest);

ALTER TABLE ONLY agi_router.appeal
    ADD CONSTRAINT appeal_pkey PRIMARY KEY (id);

ALTER TABLE ONLY agi_router.appeal_rebind
    ADD CONSTRAINT appeal_rebind_pkey PRIMARY KEY (appeal_id, block, binding_id);

ALTER TABLE ONLY agi_router.audit_chain
    ADD CONSTRAINT audit_chain_audit_id UNIQUE (audit_id);

ALTER TABLE ONLY agi_router.audit_chain
    ADD CONSTRAINT audit_chain_pkey PRIMARY KEY ("position");

ALTER TABLE ONLY agi_router.audit_head
    ADD CONSTRAINT audit_head_pkey PRIMARY KEY (signed_at, key);

ALTER TABLE ONLY agi_router.audit
    ADD CONSTRAINT audit_pkey PRIMARY KEY (id);

ALTER TABLE ONLY agi_router.binding_hold
    ADD CONSTRAINT binding_hold_pkey PRIMARY KEY (block, binding_id, tag);

ALTER TABLE ONLY agi_router.binding
    ADD CONSTRAINT binding_pkey PRIMARY KEY (block, id);

ALTER TABLE ONLY agi_router.block
    ADD CONSTRAINT block_pkey PRIMARY KEY (block);

ALTER TABLE ONLY agi_router.blocklist
    ADD CONSTRAINT blocklist_pkey PRIMARY KEY (id);

ALTER TABLE ONLY agi_router.call
    ADD CONSTRAINT call_pkey PRIMARY KEY (block, id, day);

ALTER TABLE ONLY agi_router.call_other
    ADD CONSTRAINT call_other_pkey PRIMARY KEY (block, id, day);

ALTER TABLE ONLY agi_router.complaint_caller
    ADD CONSTRAINT complaint_caller_pkey PRIMARY KEY (complaint_id);

ALTER TABLE ONLY agi_router.complaint
    ADD CONSTRAINT complaint_pkey PRIMARY KEY (id);

ALTER TABLE ONLY agi_router.complaint
    ADD CONSTRAINT complaint_same UNIQUE (source, reference);

ALTER TABLE ONLY agi_router.consent
    ADD CONSTRAINT consent_pkey PRIMARY KEY (id);

ALTER TABLE ONLY agi_router.deletion
    ADD CONSTRAINT deletion_pkey PRIMARY KEY (id);

ALTER TABLE ONLY agi_router.delivery
    ADD CONSTRAINT delivery_pkey PRIMARY KEY (webhook_id, event_id);

ALTER TABLE ONLY agi_router.event
    ADD CONSTRAINT event_pkey PRIMARY KEY (id, day);

ALTER TABLE ONLY agi_router.event_other
    ADD CONSTRAINT event_other_pkey PRIMARY KEY (id, day);

ALTER TABLE ONLY agi_router.export_day
    ADD CONSTRAINT export_day_pkey PRIMARY KEY (day, manifest);

ALTER TABLE ONLY agi_router.export_wish
    ADD CONSTRAINT export_wish_pkey PRIMARY KEY (day);

ALTER TABLE ONLY agi_router.feed_body
    ADD CONSTRAINT feed_body_pkey PRIMARY KEY (run_id);

ALTER TABLE ONLY agi_router.feed_fault
    ADD CONSTRAINT feed_fault_pkey PRIMARY KEY (run_id, line);

ALTER TABLE ONLY agi_router.feed_match
    ADD CONSTRAINT feed_match_pkey PRIMARY KEY (run_id, block, binding_id);

ALTER TABLE ONLY agi_router.feed
    ADD CONSTRAINT feed_name_key UNIQUE (name);

ALTER TABLE ONLY agi_router.feed
    ADD CONSTRAINT feed_pkey PRIMARY KEY (id);

ALTER TABLE ONLY agi_router.feed_pull
    ADD CONSTRAINT feed_pull_pkey PRIMARY KEY (feed_id);

ALTER TABLE ONLY agi_router.feed_run
    ADD CONSTRAINT feed_run_digest_key UNIQUE (feed_id, digest);

ALTER TABLE ONLY agi_router.feed_run
    ADD CONSTRAINT feed_run_pkey PRIMARY KEY (id);

ALTER TABLE ONLY agi_router.finding
    ADD CONSTRAINT finding_complaint_key UNIQUE (complaint_id, operator, status);

ALTER TABLE ONLY agi_router.finding
    ADD CONSTRAINT finding_key UNIQUE (lock_id, operator, status);

ALTER TABLE ONLY agi_router.finding
    ADD CONSTRAINT finding_pkey PRIMARY KEY (id);

ALTER TABLE ONLY agi_router.function
    ADD CONSTRAINT function_pkey PRIMARY KEY (name);

ALTER TABLE ONLY agi_router.group_member
    ADD CONSTRAINT group_member_pkey PRIMARY KEY (group_id, tag);

ALTER TABLE ONLY agi_router.hold
    ADD CONSTRAINT hold_pkey PRIMARY KEY (id);

ALTER TABLE ONLY agi_router.kept_call
    ADD CONSTRAINT kept_call_pkey PRIMARY KEY (block, id, day);

ALTER TABLE ONLY agi_router.kept_message
    ADD CONSTRAINT kept_message_pkey PRIMARY KEY (block, id, day);

ALTER TABLE ONLY agi_router.key
    ADD CONSTRAINT key_pkey PRIMARY KEY (kind, id);

ALTER TABLE ONLY agi_router.lock_mark
    ADD CONSTRAINT lock_mark_pkey PRIMARY KEY (key, lock_id);

ALTER TABLE ONLY agi_router.lock
    ADD CONSTRAINT lock_pkey PRIMARY KEY (id);

ALTER TABLE ONLY agi_router.message
    ADD CONSTRAINT message_pkey PRIMARY KEY (block, id, day);

ALTER TABLE ONLY agi_router.message_link
    ADD CONSTRAINT message_link_pkey PRIMARY KEY (name);

ALTER TABLE ONLY agi_router.message_other
    ADD CONSTRAINT message_other_pkey PRIMARY KEY (block, id, day);

ALTER TABLE ONLY agi_router.message_out
    ADD CONSTRAINT message_out_pkey PRIMARY KEY (block, id);

ALTER TABLE ONLY agi_router.message_part
    ADD CONSTRAINT message_part_pkey PRIMARY KEY (block, same, number);

ALTER TABLE ONLY agi_router.message_rule
    ADD CONSTRAINT message_rule_pkey PRIMARY KEY (tenant_id);

ALTER TABLE ONLY agi_router.message_seen
    ADD CONSTRAINT message_seen_pkey PRIMARY KEY (block, same);

ALTER TABLE ONLY agi_router.message_sent
    ADD CONSTRAINT message_sent_pkey PRIMARY KEY (link, remote_id);

ALTER TABLE ONLY agi_router.migration
    ADD CONSTRAINT migration_pkey PRIMARY KEY (number);

ALTER TABLE ONLY agi_router.new_owner
    ADD CONSTRAINT new_owner_pkey PRIMARY KEY (person_id);

ALTER TABLE ONLY agi_router.node
    ADD CONSTRAINT node_pkey PRIMARY KEY (name);

ALTER TABLE ONLY agi_router.nonce
    ADD CONSTRAINT nonce_pkey PRIMARY KEY (digest);

ALTER TABLE ONLY agi_router.nonce_since
    ADD CONSTRAINT nonce_since_pkey PRIMARY KEY (key_id);

ALTER TABLE ONLY agi_router.notice
    ADD CONSTRAINT notice_pkey PRIMARY KEY (tenant_id, type, subject);

ALTER TABLE ONLY agi_router.old_number
    ADD CONSTRAINT old_number_pkey PRIMARY KEY (number);

ALTER TABLE ONLY agi_router.party_group
    ADD CONSTRAINT party_group_pkey PRIMARY KEY (id);

ALTER TABLE ONLY agi_router.party_group
    ADD CONSTRAINT party_group_tenant_id_name_key UNIQUE (tenant_id, name);

ALTER TABLE ONLY agi_router.past_route
    ADD CONSTRAINT past_route_pkey PRIMARY KEY (block, x_number, caller_tag, binding_id, removed_at);

ALTER TABLE ONLY agi_router.person_mark
    ADD CONSTRAINT person_mark_pkey PRIMARY KEY (tag, person_id);

ALTER TABLE ONLY agi_router.pool
    ADD CONSTRAINT pool_pkey PRIMARY KEY (id);

ALTER TABLE ONLY agi_router.pool
    ADD CONSTRAINT pool_tenant_id_name_key UNIQUE (tenant_id, name);

ALTER TABLE ONLY agi_router.quota_count
    ADD CONSTRAINT quota_count_pkey PRIMARY KEY (tenant_id);

ALTER TABLE ONLY agi_router.quota_use
    ADD CONSTRAINT quota_use_pkey PRIMARY KEY (tenant_id, place);

ALTER TABLE ONLY agi_router.real_name
    ADD CONSTRAINT real_name_pkey PRIMARY KEY (id);

ALTER TABLE ONLY agi_router.recording_gone
    ADD CONSTRAINT recording_gone_pkey PRIMARY KEY (name);

ALTER TABLE ONLY agi_router.recording
    ADD CONSTRAINT recording_name_key UNIQUE (name);

ALTER TABLE ONLY agi_router.recording
    ADD CONSTRAINT recording_pkey PRIMARY KEY (block, call_id, day);

ALTER TABLE ONLY agi_router.route
    ADD CONSTRAINT route_pkey PRIMARY KEY (block, x_number, caller_tag);

ALTER TABLE ONLY agi_router.tenant_check
    ADD CONSTRAINT tenant_check_pkey PRIMARY KEY (tenant_id);

ALTER TABLE ONLY agi_router.tenant
    ADD CONSTRAINT tenant_name_key UNIQUE (name);

ALTER TABLE ONLY agi_router.tenant
    ADD CONSTRAINT tenant_pkey PRIMARY KEY (id);

ALTER TABLE ONLY agi_router.webhook
    ADD CONSTRAINT webhook_pkey PRIMARY KEY (id);

CREATE INDEX answer_made ON agi_router.answer USING btree (made_at);

CREATE UNIQUE INDEX api_key_active ON agi_router.api_key USING btree (COALESCE(tenant_id, 0), place) WHERE (state = 'active'::text);

COMMENT ON INDEX agi_router.api_key_active IS 'Two active keys for each tenant, six for the operator';

CREATE INDEX appeal_deadline ON agi_router.appeal USING btree (deadline_at) WHERE ((deadline_at IS NOT NULL) AND (NOT overdue));

CREATE INDEX appeal_filed ON agi_router.appeal USING btree (filed_at, id);

CREATE INDEX appeal_lock ON agi_router.appeal USING btree (lock_id);

CREATE UNIQUE INDEX appeal_open ON agi_router.appeal USING btree (lock_id) WHERE (state = ANY (ARRAY['filed'::text, 'evidence_complete'::text, 'in_review'::text]));

CREATE INDEX attempt_at ON agi_router.attempt USING btree (at);

CREATE INDEX attempt_webhook ON agi_router.attempt USING btree (webhook_id, at);

CREATE INDEX audit_at ON agi_router.audit USING btree (at);

COMMENT ON INDEX agi_router.audit_at IS 'What was written down since a time';

CREATE INDEX audit_head_position ON agi_router.audit_head USING btree ("position");

COMMENT ON INDEX agi_router.audit_head_position IS 'Heads by what they hold, for a look at a stretch of the chain';

CREATE INDEX audit_settings ON agi_router.audit USING btree (id) WHERE (act = 'settings'::text);

COMMENT ON INDEX agi_router.audit_settings IS 'The settings of services, of which each start looks for the last';

CREATE INDEX audit_tag ON agi_router.audit USING btree (tag, at) WHERE (tag IS NOT NULL);

COMMENT ON INDEX agi_router.audit_tag IS 'What was done about a person';

CREATE INDEX bind_use_key ON agi_router.bind_use USING btree (tenant_id, kind, key, at);

COMMENT ON INDEX agi_router.bind_use_key IS 'How many were made in a time';

CREATE INDEX bind_use_until ON agi_router.bind_use USING btree (until);

COMMENT ON INDEX agi_router.bind_use_until IS 'What is to be forgotten';

CREATE INDEX binding_alive ON agi_router.binding USING btree (block, id) INCLUDE (expires_at) WHERE (ended_at IS NULL);

CREATE INDEX binding_expiry ON agi_router.binding USING btree (expires_at) WHERE (ended_at IS NULL);

CREATE INDEX binding_group ON agi_router.binding USING btree (tenant_id, party_group, block, id) WHERE ((party_group IS NOT NULL) AND (ended_at IS NULL));

CREATE INDEX binding_hold_tag ON agi_router.binding_hold USING btree (tag);

COMMENT ON INDEX agi_router.binding_hold_tag IS 'What a feed that knows it releases';

CREATE INDEX binding_open ON agi_router.binding USING btree (block, open_number) WHERE (open_number IS NOT NULL);

CREATE INDEX binding_order ON agi_router.binding USING btree (order_id, order_tag) WHERE (order_id IS NOT NULL);

CREATE INDEX binding_over ON agi_router.binding USING btree (ended_at) WHERE (ended_at IS NOT NULL);

CREATE INDEX binding_pair ON agi_router.binding USING btree (pair_tag, begins_at) WHERE (pair_tag IS NOT NULL);

CREATE INDEX binding_parent ON agi_router.binding USING btree (block, parent_id) WHERE (parent_id IS NOT NULL);

CREATE INDEX binding_tenant ON agi_router.binding USING btree (tenant_id, begins_at, block, id);

COMMENT ON INDEX agi_router.binding_tenant IS 'Bindings of a tenant, by age';

CREATE INDEX binding_tenant_alive ON agi_router.binding USING btree (tenant_id, begins_at, block, id) WHERE (ended_at IS NULL);

COMMENT ON INDEX agi_router.binding_tenant_alive IS 'The same of those that nothing has ended yet';

CREATE INDEX block_tenant ON agi_router.block USING btree (tenant_id) WHERE (tenant_id IS NOT NULL);

COMMENT ON INDEX agi_router.block_tenant IS 'Blocks that are kept for a tenant';

CREATE INDEX blocklist_added ON agi_router.blocklist USING btree (added_at, id);

CREATE INDEX blocklist_key ON agi_router.blocklist USING btree (key);

CREATE INDEX blocklist_live ON agi_router.blocklist USING btree (ends_at) WHERE (over_at IS NULL);

CREATE INDEX blocklist_other ON agi_router.blocklist USING btree (other_key) WHERE (other_key IS NOT NULL);

CREATE INDEX blocklist_over ON agi_router.blocklist USING btree (over_at) WHERE (over_at IS NOT NULL);

CREATE INDEX call_reserved ON ONLY agi_router.call USING btree (id COLLATE "C") WHERE (state = 'reserved'::text);

COMMENT ON INDEX agi_router.call_reserved IS 'Calls that take a use and are not settled: running, or their end was not seen';

CREATE INDEX call_record ON ONLY agi_router.call USING btree (received_at) WHERE record;

COMMENT ON INDEX agi_router.call_record IS 'Calls that were to be recorded, by time';

CREATE INDEX call_shown ON ONLY agi_router.call USING btree (shown) WHERE ((state = 'settled'::text) AND (shown IS NOT NULL));

CREATE INDEX call_tenant ON ONLY agi_router.call USING btree (tenant_id, received_at) WHERE (tenant_id IS NOT NULL);

COMMENT ON INDEX agi_router.call_tenant IS 'Calls of a tenant, by time';

CREATE INDEX call_number ON ONLY agi_router.call USING btree (x_number) WHERE (state = 'settled'::text);

CREATE INDEX call_other_id_idx ON agi_router.call_other USING btree (id COLLATE "C") WHERE (state = 'reserved'::text);

CREATE INDEX call_other_received_at_idx ON agi_router.call_other USING btree (received_at) WHERE record;

CREATE INDEX call_other_shown_idx ON agi_router.call_other USING btree (shown) WHERE ((state = 'settled'::text) AND (shown IS NOT NULL));

CREATE INDEX call_other_tenant_id_received_at_idx ON agi_router.call_other USING btree (tenant_id, received_at) WHERE (tenant_id IS NOT NULL);

CREATE INDEX call_other_x_number_idx ON agi_router.call_other USING btree (x_number) WHERE (state = 'settled'::text);

CREATE INDEX complaint_added ON agi_router.complaint USING btree (added_at, id);

CREATE INDEX complaint_caller_person ON agi_router.complaint_caller USING btree (person_id);

CREATE INDEX complaint_number ON agi_router.complaint USING btree (x_number, added_at);

CREATE INDEX complaint_tenant ON agi_router.complaint USING btree (tenant_id, added_at);

CREATE INDEX consent_cut ON agi_router.consent USING btree (added_at) WHERE cut;

CREATE INDEX consent_person ON agi_router.consent USING btree (person_id, tenant_id, COALESCE(order_id, ''::text), id);

CREATE INDEX consent_tenant ON agi_router.consent USING btree (tenant_id, added_at, id);

CREATE INDEX consent_withdrawn ON agi_router.consent USING btree (added_at) WHERE (act = 'withdrawn'::text);

CREATE INDEX deletion_kind ON agi_router.deletion USING btree (kind, day);

COMMENT ON INDEX agi_router.deletion_kind IS 'What was done of which day';

CREATE UNIQUE INDEX deletion_open ON agi_router.deletion USING btree (kind) WHERE (ended_at IS NULL);

COMMENT ON INDEX agi_router.deletion_open IS 'What is under way, or was interrupted';

CREATE INDEX delivery_due ON agi_router.delivery USING btree (webhook_id, next_at);

CREATE INDEX delivery_order ON agi_router.delivery USING btree (webhook_id, block, binding_id, sequence) WHERE (binding_id IS NOT NULL);

CREATE INDEX event_tenant ON ONLY agi_router.event USING btree (tenant_id, xid, id);

CREATE INDEX event_other_tenant_id_xid_id_idx ON agi_router.event_other USING btree (tenant_id, xid, id);

CREATE INDEX feed_run_begun ON agi_router.feed_run USING btree (begun_at);

COMMENT ON INDEX agi_router.feed_run_begun IS 'Runs by age: for the sweep';

CREATE INDEX finding_owed ON agi_router.finding USING btree (operator, id) WHERE (acknowledged_at IS NULL);

COMMENT ON INDEX agi_router.finding_owed IS 'What a carrier is still to be told';

CREATE INDEX group_member_tag ON agi_router.group_member USING btree (tag);

CREATE INDEX hold_live ON agi_router.hold USING btree (id) WHERE (released_at IS NULL);

COMMENT ON INDEX agi_router.hold_live IS 'Those that hold';

CREATE INDEX kept_call_binding ON agi_router.kept_call USING btree (block, binding_id);

CREATE INDEX kept_call_number ON agi_router.kept_call USING btree (x_number);

CREATE INDEX kept_message_binding ON agi_router.kept_message USING btree (block, binding_id);

CREATE UNIQUE INDEX key_current ON agi_router.key USING btree (kind) WHERE (state = 'current'::text);

CREATE INDEX lock_key ON agi_router.lock USING btree (key);

CREATE INDEX lock_live ON agi_router.lock USING btree (ends_at) WHERE (over_at IS NULL);

CREATE INDEX lock_mark_cut ON agi_router.lock_mark USING btree (starts_at) WHERE cut;

CREATE INDEX lock_mark_lock ON agi_router.lock_mark USING btree (lock_id);

CREATE INDEX lock_mark_locked ON agi_router.lock_mark USING btree (key) WHERE (subject <> 'blocklist'::text);

CREATE INDEX lock_mark_pair ON agi_router.lock_mark USING btree (key, other_key) WHERE (subject = 'blocklist'::text);

CREATE INDEX lock_over ON agi_router.lock USING btree (over_at) WHERE (over_at IS NOT NULL);

CREATE INDEX lock_set ON agi_router.lock USING btree (set_at, id);

CREATE INDEX message_binding ON ONLY agi_router.message USING btree (block, binding_id);

CREATE INDEX message_tenant ON ONLY agi_router.message USING btree (tenant_id, received_at);

COMMENT ON INDEX agi_router.message_tenant IS 'Texts of a tenant, by time';

CREATE INDEX message_other_block_binding_id_idx ON agi_router.message_other USING btree (block, binding_id);

CREATE INDEX message_other_tenant_id_received_at_idx ON agi_router.message_other USING btree (tenant_id, received_at);

CREATE INDEX message_out_due ON agi_router.message_out USING btree (link_out, next_at);

COMMENT ON INDEX agi_router.message_out_due IS 'What a door has to send next';

CREATE INDEX message_part_at ON agi_router.message_part USING btree (at);

COMMENT ON INDEX agi_router.message_part_at IS 'What is given up';

CREATE INDEX message_seen_at ON agi_router.message_seen USING btree (at);

COMMENT ON INDEX agi_router.message_seen_at IS 'What may be forgotten';

CREATE INDEX message_sent_text ON agi_router.message_sent USING btree (block, id);

COMMENT ON INDEX agi_router.message_sent_text IS 'Short messages of a text';

CREATE INDEX message_sent_until ON agi_router.message_sent USING btree (until);

COMMENT ON INDEX agi_router.message_sent_until IS 'What is given up';

CREATE INDEX nonce_taken ON agi_router.nonce USING btree (taken_at);

CREATE INDEX old_number_moved ON agi_router.old_number USING btree (moved_at);

COMMENT ON INDEX agi_router.old_number_moved IS 'Old numbers in the order in which retention deletes them';

CREATE INDEX old_number_x_number ON agi_router.old_number USING btree (x_number);

COMMENT ON INDEX agi_router.old_number_x_number IS 'Old numbers by what has come in their place, for whose a call to one is';

CREATE INDEX past_route_binding ON agi_router.past_route USING btree (block, binding_id);

CREATE INDEX past_route_callee ON agi_router.past_route USING btree ((callee_tags[1])) WHERE (caller IS NOT NULL);

CREATE INDEX past_route_caller ON agi_router.past_route USING btree (caller_tag);

CREATE INDEX past_route_end ON agi_router.past_route USING btree (block, x_number, ends_at) INCLUDE (begins_at);

CREATE INDEX past_route_left ON agi_router.past_route USING btree (ends_at) WHERE left_group;

CREATE INDEX person_mark_person ON agi_router.person_mark USING btree (person_id);

CREATE INDEX real_name_added ON agi_router.real_name USING btree (added_at, id);

CREATE INDEX real_name_person ON agi_router.real_name USING btree (person_id);

CREATE INDEX recording_begun ON agi_router.recording USING btree (begun_at, call_id);

COMMENT ON INDEX agi_router.recording_begun IS 'Recordings by time';

CREATE INDEX recording_binding ON agi_router.recording USING btree (block, binding_id);

COMMENT ON INDEX agi_router.recording_binding IS 'Those of a binding';

CREATE INDEX recording_call ON agi_router.recording USING btree (call_id);

COMMENT ON INDEX agi_router.recording_call IS 'Recordings by the name of the call alone';

CREATE INDEX recording_day ON agi_router.recording USING btree (day);

COMMENT ON INDEX agi_router.recording_day IS 'What is past retention';

CREATE INDEX recording_gone_vault ON agi_router.recording_gone USING btree (vault, gone_at);

COMMENT ON INDEX agi_router.recording_gone_vault IS 'What one keeper has to remove';

CREATE INDEX recording_number ON agi_router.recording USING btree (x_number);

COMMENT ON INDEX agi_router.recording_number IS 'Those of calls to a number';

CREATE INDEX recording_tenant ON agi_router.recording USING btree (tenant_id, begun_at, call_id);

COMMENT ON INDEX agi_router.recording_tenant IS 'Those of a tenant by time';

CREATE INDEX route_binding ON agi_router.route USING btree (block, binding_id);

CREATE INDEX route_callee ON agi_router.route USING btree ((callee_tags[1])) WHERE (caller IS NOT NULL);

CREATE INDEX route_caller ON agi_router.route USING btree (caller_tag);

CREATE INDEX route_child ON agi_router.route USING btree (block, child_id) WHERE (child_id IS NOT NULL);

CREATE INDEX route_end ON agi_router.route USING btree (block, x_number, ends_at) INCLUDE (begins_at);

CREATE INDEX tenant_told_of_ends ON agi_router.tenant USING btree (id) WHERE told_of_ends;

COMMENT ON INDEX agi_router.tenant_told_of_ends IS 'Whom a settlement tells';

CREATE INDEX webhook_tenant ON agi_router.webhook USING btree (tenant_id);

ALTER INDEX agi_router.call_reserved ATTACH PARTITION agi_router.call_other_id_idx;

ALTER INDEX agi_router.call_pkey ATTACH PARTITION agi_router.call_other_pkey;

ALTER INDEX agi_router.call_record ATTACH PARTITION agi_router.call_other_received_at_idx;

ALTER INDEX agi_router.call_shown ATTACH PARTITION agi_router.call_other_shown_idx;

ALTER INDEX agi_router.call_tenant ATTACH PARTITION agi_router.call_other_tenant_id_received_at_idx;

ALTER INDEX agi_router.call_number ATTACH PARTITION agi_router.call_other_x_number_idx;

ALTER INDEX agi_router.event_pkey ATTACH PARTITION agi_router.event_other_pkey;

ALTER INDEX agi_router.event_tenant ATTACH PARTITION agi_router.event_other_tenant_id_xid_id_idx;

ALTER INDEX agi_router.message_binding ATTACH PARTITION agi_router.message_other_block_binding_id_idx;

ALTER INDEX agi_router.message_pkey ATTACH PARTITION agi_router.message_other_pkey;

ALTER INDEX agi_router.message_tenant ATTACH PARTITION agi_router.message_other_tenant_id_received_at_idx;

CREATE TRIGGER binding_end AFTER UPDATE OF ended_at ON agi_router.binding FOR EACH ROW WHEN (((new.y_ttl IS NOT NULL) AND (new.ended_at IS NOT NULL) AND (old.ended_at IS NULL))) EXECUTE FUNCTION agi_router.end_children();

CREATE TRIGGER binding_mode AFTER UPDATE OF block, mode, callback, callback_window, extension, open_number, y_ttl, parent_id, party_group ON agi_router.binding FOR EACH ROW EXECUTE FUNCTION agi_router.check_binding('mode');

COMMENT ON TRIGGER binding_mode ON agi_router.binding IS 'What belongs to which mode';

CREATE TRIGGER binding_new AFTER INSERT ON agi_router.binding FOR EACH ROW EXECUTE FUNCTION agi_router.check_binding();

COMMENT ON TRIGGER binding_new ON agi_router.binding IS 'What a new binding may be: all that the others look at';

CREATE TRIGGER binding_state AFTER UPDATE OF state, ended_at, calls_settled ON agi_router.binding FOR EACH ROW EXECUTE FUNCTION agi_router.check_binding('state');

COMMENT ON TRIGGER binding_state ON agi_router.binding IS 'What ended a binding goes with when it ended';

CREATE TRIGGER binding_terms AFTER UPDATE OF max_calls, ring_timeout, max_duration, language, order_id, counting, direction, display_a, display_b, prompts, out_id, user_data, industrial_id, pool, messages, max_messages, hours, record ON agi_router.binding FOR EACH ROW EXECUTE FUNCTION agi_router.check_binding('terms');

COMMENT ON TRIGGER binding_terms ON agi_router.binding IS 'What the terms of a binding may be; null is none';

CREATE TRIGGER binding_uses AFTER INSERT OR UPDATE OF calls_used, max_calls, messages_used, max_messages ON agi_router.binding FOR EACH ROW EXECUTE FUNCTION agi_router.check_uses();

COMMENT ON TRIGGER binding_uses ON agi_router.binding IS 'How much of it may be used';

CREATE TRIGGER consent_sound AFTER INSERT OR UPDATE ON agi_router.consent FOR EACH ROW EXECUTE FUNCTION agi_router.check_consent();

COMMENT ON TRIGGER consent_sound ON agi_router.consent IS 'What a line may be; null is none';

CREATE TRIGGER keep_route_ends AFTER UPDATE OF expires_at, ended_at ON agi_router.binding FOR EACH ROW WHEN ((COALESCE(new.ended_at, new.expires_at) <> COALESCE(old.ended_at, old.expires_at))) EXECUTE FUNCTION agi_router.keep_route_ends();

CREATE TRIGGER note_api_key AFTER INSERT OR UPDATE OF label, scopes, networks, state, expires_at, max_binds, max_requests ON agi_router.api_key FOR EACH ROW EXECUTE FUNCTION agi_router.note_change('id');

CREATE TRIGGER note_appeal AFTER INSERT OR UPDATE OF state, deadline_at ON agi_router.appeal FOR EACH ROW EXECUTE FUNCTION agi_router.note_change('id');

CREATE TRIGGER note_block AFTER INSERT OR UPDATE ON agi_router.block FOR EACH ROW EXECUTE FUNCTION agi_router.note_change('block');

CREATE TRIGGER note_blocklist AFTER INSERT OR UPDATE OF ends_at, over_at ON agi_router.blocklist FOR EACH ROW EXECUTE FUNCTION agi_router.note_change('id');

CREATE TRIGGER note_complaint AFTER UPDATE OF dismissed_at ON agi_router.complaint FOR EACH ROW EXECUTE FUNCTION agi_router.note_change('id');

CREATE TRIGGER note_feed AFTER INSERT OR DELETE OR UPDATE ON agi_router.feed FOR EACH ROW EXECUTE FUNCTION agi_router.note_change('name');

CREATE TRIGGER note_gone_recording AFTER UPDATE OF sealed_key ON agi_router.recording FOR EACH ROW WHEN (((old.sealed_key IS NOT NULL) AND (new.sealed_key IS NULL) AND (new.vault IS NOT NULL))) EXECUTE FUNCTION agi_router.note_gone_recording();

CREATE TRIGGER note_hold AFTER INSERT OR UPDATE OF released_at ON agi_router.hold FOR EACH ROW EXECUTE FUNCTION agi_router.note_change('id');

CREATE TRIGGER note_key AFTER UPDATE OF state ON agi_router.key FOR EACH ROW EXECUTE FUNCTION agi_router.note_change('kind', 'id');

CREATE TRIGGER note_lock AFTER INSERT OR UPDATE OF note, ends_at, over_at ON agi_router.lock FOR EACH ROW EXECUTE FUNCTION agi_router.note_change('id');

CREATE TRIGGER note_message_link AFTER UPDATE OF drained ON agi_router.message_link FOR EACH ROW EXECUTE FUNCTION agi_router.note_change('name');

CREATE TRIGGER note_message_rule AFTER INSERT OR DELETE OR UPDATE ON agi_router.message_rule FOR EACH ROW EXECUTE FUNCTION agi_router.note_change('tenant_id');

CREATE TRIGGER note_party_group AFTER INSERT OR DELETE OR UPDATE ON agi_router.party_group FOR EACH ROW EXECUTE FUNCTION agi_router.note_change('tenant_id', 'name');

CREATE TRIGGER note_pool AFTER INSERT OR DELETE OR UPDATE ON agi_router.pool FOR EACH ROW EXECUTE FUNCTION agi_router.note_change('tenant_id', 'name');

CREATE TRIGGER note_tenant AFTER INSERT OR UPDATE ON agi_router.tenant FOR EACH ROW EXECUTE FUNCTION agi_router.note_change('name');

CREATE TRIGGER note_tenant_check AFTER INSERT OR DELETE OR UPDATE ON agi_router.tenant_check FOR EACH ROW EXECUTE FUNCTION agi_router.note_change('tenant_id');

CREATE TRIGGER note_webhook AFTER INSERT OR UPDATE OF url, types, format, numbers, batch, batch_wait, secret, state ON agi_router.webhook FOR EACH ROW EXECUTE FUNCTION agi_router.note_change('id');

CREATE TRIGGER route_new AFTER INSERT ON agi_router.route REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION agi_router.check_new_routes();

CREATE TRIGGER route_sound AFTER UPDATE OF block, x_number, shown, side, last_callee, last_at ON agi_router.route FOR EACH ROW EXECUTE FUNCTION agi_router.check_route();

COMMENT ON TRIGGER route_sound ON agi_router.route IS 'What a route may become';

CREATE TRIGGER tell_binding_change AFTER UPDATE OF version ON agi_router.binding FOR EACH ROW WHEN (((new.version <> old.version) AND (new.ended_at IS NULL) AND (new.parent_id IS NULL))) EXECUTE FUNCTION agi_router.tell_binding_event('binding.changed');

CREATE TRIGGER tell_binding_end AFTER UPDATE OF ended_at ON agi_router.binding FOR EACH ROW WHEN (((new.ended_at IS NOT NULL) AND (old.ended_at IS NULL) AND (new.parent_id IS NULL))) EXECUTE FUNCTION agi_router.tell_binding_event('binding.ended');

CREATE TRIGGER tell_recording AFTER INSERT ON agi_router.recording FOR EACH ROW WHEN ((new.binding_id IS NOT NULL)) EXECUTE FUNCTION agi_router.tell_recording();

CREATE TRIGGER tell_recording_change AFTER UPDATE OF state ON agi_router.recording FOR EACH ROW WHEN (((new.binding_id IS NOT NULL) AND (new.state <> old.state))) EXECUTE FUNCTION agi_router.tell_recording();

ALTER TABLE ONLY agi_router.api_key
    ADD CONSTRAINT api_key_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES agi_router.tenant(id);

ALTER TABLE ONLY agi_router.api_key_use
    ADD CONSTRAINT api_key_use_key_id_fkey FOREIGN KEY (key_id) REFERENCES agi_router.api_key(id);

ALTER TABLE ONLY agi_router.appeal_evidence
    ADD CONSTRAINT appeal_evidence_appeal_id_fkey FOREIGN KEY (appeal_id) REFERENCES agi_router.appeal(id) ON DELETE CASCADE;

ALTER TABLE ONLY agi_router.appeal
    ADD CONSTRAINT appeal_lock_id_fkey FOREIGN KEY (lock_id) REFERENCES agi_router.lock(id) ON DELETE CASCADE;

ALTER TABLE ONLY agi_router.appeal_rebind
    ADD CONSTRAINT appeal_rebind_appeal_id_fkey FOREIGN KEY (appeal_id) REFERENCES agi_router.appeal(id) ON DELETE CASCADE;

ALTER TABLE ONLY agi_router.appeal_rebind
    ADD CONSTRAINT appeal_rebind_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES agi_router.tenant(id);

ALTER TABLE ONLY agi_router.appeal
    ADD CONSTRAINT appeal_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES agi_router.tenant(id);

ALTER TABLE ONLY agi_router.audit_chain
    ADD CONSTRAINT audit_chain_audit FOREIGN KEY (audit_id) REFERENCES agi_router.audit(id);

ALTER TABLE ONLY agi_router.bind_use
    ADD CONSTRAINT bind_use_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES agi_router.tenant(id);

ALTER TABLE ONLY agi_router.binding
    ADD CONSTRAINT binding_block_fkey FOREIGN KEY (block) REFERENCES agi_router.block(block);

ALTER TABLE ONLY agi_router.binding
    ADD CONSTRAINT binding_block_parent_id_fkey FOREIGN KEY (block, parent_id) REFERENCES agi_router.binding(block, id);

ALTER TABLE ONLY agi_router.binding_hold
    ADD CONSTRAINT binding_hold_binding_fkey FOREIGN KEY (block, binding_id) REFERENCES agi_router.binding(block, id) ON DELETE CASCADE;

ALTER TABLE ONLY agi_router.binding
    ADD CONSTRAINT binding_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES agi_router.tenant(id);

ALTER TABLE ONLY agi_router.block
    ADD CONSTRAINT block_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES agi_router.tenant(id);

ALTER TABLE ONLY agi_router.blocklist
    ADD CONSTRAINT blocklist_setter_id_fkey FOREIGN KEY (setter_id) REFERENCES agi_router.tenant(id);

ALTER TABLE ONLY agi_router.blocklist
    ADD CONSTRAINT blocklist_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES agi_router.tenant(id);

ALTER TABLE ONLY agi_router.complaint_caller
    ADD CONSTRAINT complaint_caller_complaint_id_fkey FOREIGN KEY (complaint_id) REFERENCES agi_router.complaint(id) ON DELETE CASCADE;

ALTER TABLE ONLY agi_router.complaint
    ADD CONSTRAINT complaint_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES agi_router.tenant(id);

ALTER TABLE ONLY agi_router.consent
    ADD CONSTRAINT consent_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES agi_router.tenant(id);

ALTER TABLE ONLY agi_router.feed_body
    ADD CONSTRAINT feed_body_run_id_fkey FOREIGN KEY (run_id) REFERENCES agi_router.feed_run(id) ON DELETE CASCADE;

ALTER TABLE ONLY agi_router.feed_fault
    ADD CONSTRAINT feed_fault_run_id_fkey FOREIGN KEY (run_id) REFERENCES agi_router.feed_run(id) ON DELETE CASCADE;

ALTER TABLE ONLY agi_router.feed_match
    ADD CONSTRAINT feed_match_run_id_fkey FOREIGN KEY (run_id) REFERENCES agi_router.feed_run(id) ON DELETE CASCADE;

ALTER TABLE ONLY agi_router.feed_pull
    ADD CONSTRAINT feed_pull_feed_id_fkey FOREIGN KEY (feed_id) REFERENCES agi_router.feed(id) ON DELETE CASCADE;

ALTER TABLE ONLY agi_router.feed_run
    ADD CONSTRAINT feed_run_feed_id_fkey FOREIGN KEY (feed_id) REFERENCES agi_router.feed(id) ON DELETE CASCADE;

ALTER TABLE ONLY agi_router.finding
    ADD CONSTRAINT finding_complaint_id_fkey FOREIGN KEY (complaint_id) REFERENCES agi_router.complaint(id) ON DELETE CASCADE;

ALTER TABLE ONLY agi_router.finding
    ADD CONSTRAINT finding_lock_id_fkey FOREIGN KEY (lock_id) REFERENCES agi_router.lock(id) ON DELETE CASCADE;

ALTER TABLE ONLY agi_router.group_member
    ADD CONSTRAINT group_member_group_id_fkey FOREIGN KEY (group_id) REFERENCES agi_router.party_group(id) ON DELETE CASCADE;

ALTER TABLE ONLY agi_router.hold
    ADD CONSTRAINT hold_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES agi_router.tenant(id);

ALTER TABLE ONLY agi_router.lock
    ADD CONSTRAINT lock_setter_id_fkey FOREIGN KEY (setter_id) REFERENCES agi_router.tenant(id);

ALTER TABLE ONLY agi_router.lock
    ADD CONSTRAINT lock_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES agi_router.tenant(id);

ALTER TABLE ONLY agi_router.message_rule
    ADD CONSTRAINT message_rule_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES agi_router.tenant(id);

ALTER TABLE ONLY agi_router.notice
    ADD CONSTRAINT notice_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES agi_router.tenant(id);

ALTER TABLE ONLY agi_router.old_number
    ADD CONSTRAINT old_number_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES agi_router.tenant(id);

ALTER TABLE ONLY agi_router.party_group
    ADD CONSTRAINT party_group_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES agi_router.tenant(id);

ALTER TABLE ONLY agi_router.pool
    ADD CONSTRAINT pool_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES agi_router.tenant(id);

ALTER TABLE ONLY agi_router.quota_count
    ADD CONSTRAINT quota_count_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES agi_router.tenant(id);

ALTER TABLE ONLY agi_router.quota_use
    ADD CONSTRAINT quota_use_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES agi_router.tenant(id);

ALTER TABLE ONLY agi_router.real_name
    ADD CONSTRAINT real_name_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES agi_router.tenant(id);

ALTER TABLE ONLY agi_router.route
    ADD CONSTRAINT route_block_binding_id_fkey FOREIGN KEY (block, binding_id) REFERENCES agi_router.binding(block, id);

ALTER TABLE ONLY agi_router.route
    ADD CONSTRAINT route_block_child_id_fkey FOREIGN KEY (block, child_id) REFERENCES agi_router.binding(block, id);

ALTER TABLE ONLY agi_router.tenant_check
    ADD CONSTRAINT tenant_check_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES agi_router.tenant(id);

ALTER TABLE ONLY agi_router.webhook
    ADD CONSTRAINT webhook_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES agi_router.tenant(id);

REVOKE ALL ON FUNCTION agi_router.delete_bindings(_block bigint, _after bigint, _before timestamp with time zone, _limit integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION agi_router.delete_blocklist(_before timestamp with time zone, _limit integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION agi_router.delete_complaints(_before timestamp with time zone, _limit integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION agi_router.delete_consents(_before timestamp with time zone, _limit integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION agi_router.delete_holds(_before timestamp with time zone, _limit integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION agi_router.delete_locks(_before timestamp with time zone, _limit integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION agi_router.delete_old_numbers(_before timestamp with time zone, _limit integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION agi_router.delete_persons(_after bigint, _limit integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION agi_router.delete_real_names(_before timestamp with time zone, _after bigint, _limit integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION agi_router.delete_recordings(_before timestamp with time zone, _limit integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION agi_router.delete_strays(_kind text, _day date, _limit integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION agi_router.delete_told(_before timestamp with time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION agi_router.describe_kept() FROM PUBLIC;

REVOKE ALL ON FUNCTION agi_router.detach_day(_kind text, _day date, _rule text) FROM PUBLIC;

REVOKE ALL ON FUNCTION agi_router.drop_detached(_deletion bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION agi_router.ensure_days(parent text, first date, last date) FROM PUBLIC;

REVOKE ALL ON FUNCTION agi_router.expire_bindings(_limit integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION agi_router.grant_right(_role name, _kind text, _name text, _privilege text) FROM PUBLIC;

REVOKE ALL ON FUNCTION agi_router.keep_held(_kind text, _day date) FROM PUBLIC;

REVOKE ALL ON FUNCTION agi_router.list_day(_kind text, _day date, _after_block bigint, _after_id text, _limit integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION agi_router.list_visits() FROM PUBLIC;

REVOKE ALL ON FUNCTION agi_router.list_writers(_block bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION agi_router.look_at_cell(_name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION agi_router.look_at_cells(_beat boolean) FROM PUBLIC;

REVOKE ALL ON FUNCTION agi_router.move_held(_kind text, _day date) FROM PUBLIC;

REVOKE ALL ON FUNCTION agi_router.pass_over_cell(_cell integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION agi_router.set_cell_away(_name text, _away boolean) FROM PUBLIC;

REVOKE ALL ON FUNCTION agi_router.step_move(_block bigint, _to text) FROM PUBLIC;

REVOKE ALL ON FUNCTION agi_router.tell_trouble(_webhook_id bigint, _held bigint[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION agi_router.undo_move(_block bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION agi_router.visit_cell(_cell integer, _expired integer) FROM PUBLIC;
