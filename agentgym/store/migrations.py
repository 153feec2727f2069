"""From older tables of the store to the present ones, one version at a time.

A change of a table raises `SCHEMA_VERSION` and adds here what takes the version before to it; a test holds a store
made by each older version against one made anew.
"""

from __future__ import annotations

from agentgym.database import Migrations

MIGRATIONS: Migrations = {
    # Turns tell what their completions cost; of recorded ones the arrays of ids do.
    4: (
        "ALTER TABLE turns ADD COLUMN prompt_tokens INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE turns ADD COLUMN completion_tokens INTEGER NOT NULL DEFAULT 0",
        "UPDATE turns SET prompt_tokens = prompt_start + length(prompt_ids) / 4",
        "UPDATE turns SET completion_tokens = length(completion_ids) / 4",
    ),
    # Listings and searches read indexes alone.
    5: (
        "CREATE INDEX episodes_by_group ON episodes (run_id, group_id)",
        "CREATE INDEX episodes_in_order ON episodes (run_id, pk, outcome, phase, task_id)",
        "CREATE INDEX episodes_with_error ON episodes (run_id, pk) WHERE error IS NOT NULL",
        "CREATE INDEX turns_by_action ON turns (episode_pk, action, action_json)",
    ),
    # What training used of each token is kept: before, pages could only work advantages out again. And how many
    # episodes there are of each kind, so that nobody has to count them.
    6: (
        """CREATE TABLE lessons (
            episode_pk INTEGER NOT NULL, iteration INTEGER NOT NULL, advantages BLOB NOT NULL,
            token_advantages BLOB NOT NULL, ratios BLOB NOT NULL, clipped BLOB, PRIMARY KEY (episode_pk, iteration),
            FOREIGN KEY(episode_pk) REFERENCES episodes (pk) ON DELETE CASCADE
        )""",
        """CREATE TABLE episode_counts (
            run_id VARCHAR NOT NULL, phase VARCHAR NOT NULL, outcome VARCHAR NOT NULL, episodes INTEGER NOT NULL,
            PRIMARY KEY (run_id, phase, outcome), FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
        )""",
        "INSERT INTO episode_counts SELECT run_id, phase, outcome, count(*) FROM episodes GROUP BY 1, 2, 3",
    ),
    # Turns tell what a memory's lottery withheld.
    7: ("ALTER TABLE turns ADD COLUMN withheld_items_json VARCHAR",),
}
