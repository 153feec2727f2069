PRAGMA application_id=1634171185;
PRAGMA user_version=7;
BEGIN TRANSACTION;
CREATE TABLE episode_counts (
            run_id VARCHAR NOT NULL, phase VARCHAR NOT NULL, outcome VARCHAR NOT NULL, episodes INTEGER NOT NULL,
            PRIMARY KEY (run_id, phase, outcome), FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
        );
INSERT INTO "episode_counts" VALUES('run','train','success',1);
CREATE TABLE episodes (
	pk INTEGER NOT NULL, 
	run_id VARCHAR NOT NULL, 
	iteration INTEGER NOT NULL, 
	phase VARCHAR NOT NULL, 
	id VARCHAR NOT NULL, 
	group_id VARCHAR NOT NULL, 
	task_id VARCHAR NOT NULL, 
	split VARCHAR NOT NULL, 
	task_json VARCHAR NOT NULL, 
	outcome VARCHAR NOT NULL, 
	score FLOAT, 
	stop_reason VARCHAR NOT NULL, 
	seed VARCHAR NOT NULL, 
	policy_version INTEGER NOT NULL, 
	memory_version VARCHAR NOT NULL, 
	skills_version VARCHAR NOT NULL, 
	tools_version VARCHAR NOT NULL, 
	error VARCHAR, 
	final_observation VARCHAR, 
	final_observation_data BLOB, 
	origin_episode VARCHAR, 
	origin_turn INTEGER, 
	n_turns INTEGER NOT NULL, 
	sampled_tokens INTEGER NOT NULL, 
	PRIMARY KEY (pk), 
	UNIQUE (run_id, id), 
	FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
);
INSERT INTO "episodes" VALUES(1,'run',0,'train','a','g','task-1','train','{"id":"task-1","env_id":"test/Test-v0","split":"train","seed":2,"params":{"task_type":"easy"},"difficulty":"","group":"seen"}','success',1.0,'completed','7',-1,'','','',NULL,NULL,NULL,NULL,NULL,2,6);
CREATE TABLE evaluations (
	id INTEGER NOT NULL, 
	run_id VARCHAR NOT NULL, 
	iteration INTEGER NOT NULL, 
	name VARCHAR NOT NULL, 
	created VARCHAR NOT NULL, 
	result_json VARCHAR NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
);
INSERT INTO "evaluations" VALUES(1,'run',0,'before','2026-11-26T00:50:42.869057+00:00','{}');
CREATE TABLE lessons (
            episode_pk INTEGER NOT NULL, iteration INTEGER NOT NULL, advantages BLOB NOT NULL,
            token_advantages BLOB NOT NULL, ratios BLOB NOT NULL, clipped BLOB, PRIMARY KEY (episode_pk, iteration),
            FOREIGN KEY(episode_pk) REFERENCES episodes (pk) ON DELETE CASCADE
        );
CREATE TABLE metrics (
	run_id VARCHAR NOT NULL, 
	iteration INTEGER NOT NULL, 
	name VARCHAR NOT NULL, 
	value FLOAT, 
	PRIMARY KEY (run_id, iteration, name), 
	FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
);
INSERT INTO "metrics" VALUES('run',0,'loss',0.5);
CREATE TABLE runs (
	id VARCHAR NOT NULL, 
	kind VARCHAR NOT NULL, 
	created VARCHAR NOT NULL, 
	status VARCHAR NOT NULL, 
	config_json VARCHAR NOT NULL, 
	versions_json VARCHAR NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "runs" VALUES('run','train','2026-11-26T00:50:42.730214+00:00','running','{}','{}');
CREATE TABLE turns (
	episode_pk INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	observation VARCHAR, 
	observation_data BLOB, 
	action VARCHAR, 
	action_json VARCHAR, 
	reward FLOAT, 
	terminated BOOLEAN NOT NULL, 
	truncated BOOLEAN NOT NULL, 
	valid BOOLEAN NOT NULL, 
	state_key VARCHAR NOT NULL, 
	policy_version INTEGER NOT NULL, 
	prompt_start INTEGER NOT NULL, 
	prompt_ids BLOB NOT NULL, 
	completion_ids BLOB NOT NULL, 
	logprobs BLOB NOT NULL, 
	loss_mask BLOB, 
	messages_json VARCHAR, 
	shown_items_json VARCHAR, 
	timing_json VARCHAR, 
	policy_versions BLOB, 
	thoughts BLOB, 
	prompt_tokens INTEGER NOT NULL, 
	completion_tokens INTEGER NOT NULL, 
	PRIMARY KEY (episode_pk, position), 
	FOREIGN KEY(episode_pk) REFERENCES episodes (pk) ON DELETE CASCADE
);
INSERT INTO "turns" VALUES(1,0,'room 0',NULL,'go east',NULL,0.0,0,0,1,'k0',4,0,X'0000000001000000020000000300000004000000',X'000000000100000002000000',X'000000BF000000BF000000BF',NULL,'[{"role":"user","content":"Where?"}]',NULL,'{"policy":0.1}',NULL,NULL,5,3);
INSERT INTO "turns" VALUES(1,1,'room 1',NULL,'go east',NULL,1.0,1,0,1,'k1',4,10,X'0100000002000000030000000400000005000000',X'010000000200000003000000',X'000000BF000000BF000000BF',NULL,'[{"role":"user","content":"Where?"}]',NULL,'{"policy":0.1}',NULL,NULL,15,3);
CREATE INDEX episodes_by_group ON episodes (run_id, group_id);
CREATE INDEX episodes_by_iteration ON episodes (run_id, iteration);
CREATE INDEX episodes_in_order ON episodes (run_id, pk, outcome, phase, task_id);
CREATE INDEX episodes_with_error ON episodes (run_id, pk) WHERE error IS NOT NULL;
CREATE INDEX ix_evaluations_run_id ON evaluations (run_id);
CREATE INDEX turns_by_action ON turns (episode_pk, action, action_json);
COMMIT;
