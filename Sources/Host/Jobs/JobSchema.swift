import GRDB

/// The tables of `jobs.sqlite`. A migration that has been released is never edited; changes are new migrations.
///
/// Times are milliseconds since 1970. `deadline_at`, `not_before`, `retained_from` and `lease_until` are on the steady
/// timeline (`SteadyTime`), the others are wall time for people.
enum JobSchema {
  static var migrator: DatabaseMigrator {
    var migrator = DatabaseMigrator()
    migrator.registerMigration("1 jobs and attempts") { database in
      try database.execute(
        sql: """
          CREATE TABLE jobs (
            seq INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            kind TEXT NOT NULL,
            model TEXT,
            state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
            priority INTEGER NOT NULL,
            task TEXT NOT NULL,
            labels TEXT,
            idempotency_key TEXT,
            request_hash TEXT,
            coordinator TEXT NOT NULL,
            remote_id TEXT,
            created_at INTEGER NOT NULL,
            deadline_at INTEGER,
            not_before INTEGER,
            attempt INTEGER NOT NULL DEFAULT 0,
            strikes INTEGER NOT NULL DEFAULT 0,
            host_losses INTEGER NOT NULL DEFAULT 0,
            cancel_requested INTEGER NOT NULL DEFAULT 0,
            progress TEXT,
            result TEXT,
            artifacts TEXT,
            error TEXT,
            timing TEXT,
            finished_at INTEGER,
            retained_from INTEGER,
            undelivered INTEGER,
            lease_owner TEXT,
            lease_until INTEGER
          );
          CREATE UNIQUE INDEX jobs_key ON jobs(coordinator, idempotency_key) WHERE idempotency_key IS NOT NULL;
          CREATE INDEX jobs_remote ON jobs(coordinator, remote_id) WHERE remote_id IS NOT NULL;
          CREATE INDEX jobs_live ON jobs(state) WHERE state IN ('queued', 'running');
          CREATE INDEX jobs_finished ON jobs(retained_from) WHERE retained_from IS NOT NULL;
          CREATE INDEX jobs_undelivered ON jobs(coordinator, seq) WHERE undelivered = 1;
          CREATE INDEX jobs_deadline ON jobs(deadline_at) WHERE deadline_at IS NOT NULL AND retained_from IS NULL;
          CREATE INDEX jobs_lease ON jobs(lease_until) WHERE lease_until IS NOT NULL AND retained_from IS NULL;
          CREATE TABLE attempts (
            job INTEGER NOT NULL REFERENCES jobs(seq) ON DELETE CASCADE,
            number INTEGER NOT NULL,
            engine TEXT NOT NULL,
            pid INTEGER,
            started_at INTEGER NOT NULL,
            ended_at INTEGER,
            outcome TEXT,
            error TEXT,
            PRIMARY KEY (job, number)
          ) WITHOUT ROWID;
          """)
    }
    return migrator
  }
}
