-- What a company of :services services has after a year, made of numbers. Runs twice in one
-- database: for the first few services, and then for all the others (:first to :services).
-- Every id is 1,000,000 and more, so that no row of the sample data is met.

SET LOCAL session_replication_role = replica; -- foreign keys are right by construction
SET LOCAL synchronous_commit = off;

INSERT INTO core_team (id, name, slug)
SELECT 1000000 + t, 'Bench team ' || t, 'bench-team-' || t FROM generate_series(1, 20) t
ON CONFLICT DO NOTHING;

INSERT INTO core_membership (user_id, team_id, role)
SELECT u.id, 1000000 + t, u.role
FROM generate_series(1, 2) t,
    (SELECT id, CASE username WHEN 'lea' THEN 'lead' WHEN 'erik' THEN 'engineer' ELSE 'viewer' END
        AS role FROM core_user WHERE username IN ('lea', 'erik', 'vera')) u
ON CONFLICT DO NOTHING;

INSERT INTO core_cluster (id, name, slug, stage, uid, team_id, server, ca_pem, token_encrypted,
    kubernetes_version, time_zone, registered_at)
SELECT 1000000 + c, 'bench-' || c, 'bench-' || c, CASE WHEN c % 2 = 1 THEN 'qa' ELSE 'production'
    END, md5('cluster' || c)::uuid, 1000001 + c % 2, 'https://api-' || c || '.invalid:6443', '',
    '', 'v1.36.2', 'UTC', now() - interval '1 year'
FROM generate_series(1, 8) c
ON CONFLICT DO NOTHING;

-- Templates: 40, each saved five times.
INSERT INTO migrator_plantemplate (id, slug, title, description, version)
SELECT 1000000 + t, 'bench-' || t, 'Bench way ' || t, 'A way that services of one kind go.', 5
FROM generate_series(1, 40) t
ON CONFLICT DO NOTHING;

INSERT INTO migrator_templateversion (id, template_id, number, steps, why, made_at)
SELECT 1000000 + t * 10 + v, 1000000 + t, v, (SELECT steps FROM migrator_templateversion
    WHERE made_by_id IS NULL AND id < 1000000 ORDER BY id LIMIT 1), 'Better', now()
FROM generate_series(1, 40) t, generate_series(1, 5) v
ON CONFLICT DO NOTHING;

-- Services. The first two teams have a fifth of them; some lack what a first step needs.
INSERT INTO migrator_service (id, name, slug, team_id, tier, description, tags, legacy_hosts,
    legacy_address, legacy_capacity, legacy_capacity_unit, capacity_confirmed_by_id,
    capacity_confirmed_at, cluster_id, namespace, workload_kind, workload, route, version,
    created_at, updated_at)
SELECT 1000000 + n, 'Bench service ' || lpad(n::text, 5, '0'), 'bench-' || n,
    CASE WHEN n % 5 = 0 THEN 1000001 + n / 5 % 2 ELSE 1000001 + n % 20 END, 1 + n % 3,
    repeat('Number ' || n || ' of many, which does something for somebody. ', 3),
    ARRAY['tag-' || n % 7, 'tag-' || n % 50 + 10, 'area-' || n % 200],
    ARRAY['legacy-' || n % 900],
    CASE WHEN n % 10 = 9 THEN '' ELSE 'legacy-' || n % 900 || ':8080' END,
    CASE WHEN n % 11 = 0 THEN NULL ELSE n + 1 END,
    CASE WHEN n % 11 = 0 THEN '' ELSE 'requests/s' END,
    CASE WHEN n % 11 = 0 OR n % 4 = 0 THEN NULL ELSE u.id END,
    CASE WHEN n % 11 = 0 OR n % 4 = 0 THEN NULL ELSE now() - n % 60 * interval '1 day' END,
    CASE WHEN n % 6 = 0 THEN NULL ELSE 1000001 + n % 4 * 2 END,
    'bench', CASE WHEN n % 8 = 0 THEN '' ELSE 'Deployment' END,
    CASE WHEN n % 8 = 0 THEN '' ELSE 'bench-' || n END,
    CASE WHEN n % 9 = 0 THEN '' ELSE 'bench-' || n END, 3, now() - interval '1 year', now()
FROM generate_series(:first, :services) n, (SELECT id FROM core_user WHERE username = 'lea') u;

INSERT INTO migrator_servicelink (service_id, label, url, position)
SELECT 1000000 + n, CASE p WHEN 0 THEN 'Runbook' ELSE 'Board' END,
    'https://wiki.example/' || n || '/' || p, p
FROM generate_series(:first, :services) n, generate_series(0, 1) p;

-- Each needs up to three that were there before it; one service is needed by every fifth, and a
-- few stand in a cycle.
INSERT INTO migrator_dependency (service_id, needs_id)
SELECT DISTINCT 1000000 + a, 1000000 + b FROM (
    SELECT n AS a, n / d AS b FROM generate_series(:first, :services) n,
        (VALUES (2), (3), (7)) few (d)
    UNION ALL SELECT n, 1 FROM generate_series(:first, :services) n WHERE n % 5 = 0
    UNION ALL SELECT n / 2, n FROM generate_series(:first, :services) n WHERE n % 100 = 0
) edges WHERE b >= 1 AND a <> b;

INSERT INTO migrator_servicechange (service_id, verb, by_id, at, details)
SELECT 1000000 + n, CASE k WHEN 1 THEN 'created' ELSE 'edited' END, u.id,
    now() - (10 - k) * interval '30 days', '{"tier": ["2", "1"], "tags": ["", "pci web"]}'
FROM generate_series(:first, :services) n, generate_series(1, 10) k,
    (SELECT id FROM core_user WHERE username = 'erik') u;

-- Plans: each service has one for QA, every fourth one for production; eight steps in each, of
-- which nought to eight are done.
CREATE TEMP TABLE bench_plan ON COMMIT DROP AS
SELECT 1000000 + n * 2 + CASE s.stage WHEN 'qa' THEN 0 ELSE 1 END AS id, n, s.stage,
    n * 7919 % 9 AS done, 1000001 + n % 4 * 2 + CASE s.stage WHEN 'qa' THEN 0 ELSE 1 END AS cluster,
    u.id AS lea, v.id AS erik
FROM generate_series(:first, :services) n, (VALUES ('qa'), ('production')) s (stage),
    (SELECT id FROM core_user WHERE username = 'lea') u,
    (SELECT id FROM core_user WHERE username = 'erik') v
WHERE s.stage = 'qa' OR n % 4 = 1;

INSERT INTO migrator_plan (id, service_id, cluster_id, stage, title, made_from_id, made_by_id,
    made_at, version)
SELECT id, 1000000 + n, cluster, stage, 'Bench service ' || n || ' to bench', 1000011, lea,
    now() - interval '200 days', 9
FROM bench_plan;

CREATE TEMP TABLE bench_step ON COMMIT DROP AS
SELECT p.id * 10 + k AS id, p.id AS plan, p.n, p.cluster, p.lea, p.erik, k,
    k < p.done AS done, k = 7 AS one_way,
    (ARRAY['apply', 'manual', 'traffic', 'traffic', 'traffic', 'traffic', 'manual', 'decommission']
    )[k + 1] AS kind, now() - (8 - k) * interval '5 days' - p.n % 30 * interval '1 day' AS at
FROM bench_plan p, generate_series(0, 7) k;

INSERT INTO migrator_step (id, plan_id, key, position, title, kind, parameters, check_kind,
    check_parameters, expected_s, reversibility, why_one_way, state, state_since, skip_reason,
    version)
SELECT id, plan, 'step-' || k, k + 1, 'Step ' || k + 1, kind,
    CASE kind WHEN 'traffic' THEN jsonb_build_object('namespace', 'bench', 'route', 'bench-' || n,
        'legacy_service', 'bench-legacy', 'kubernetes_service', 'bench-' || n, 'percent', k * 15)
    ELSE '{}' END, 'none', '{}', 600, CASE WHEN one_way THEN 'one_way' ELSE 'reversible' END,
    CASE WHEN one_way THEN 'The machine is given back.' ELSE '' END,
    CASE WHEN done THEN 'done' ELSE 'waiting' END, CASE WHEN done THEN at END, '', 2
FROM bench_step;

INSERT INTO migrator_rollbackplan (step_id, kind, parameters, check_kind, check_parameters,
    expected_s, owner_id)
SELECT id, 'restore', '{}', 'none', '{}', 120, lea FROM bench_step WHERE NOT one_way;

INSERT INTO migrator_signoff (step_id, step_version, signed_by_id, signed_at, reason)
SELECT id, 2, lea, at, 'The machine has stood idle for a month.' FROM bench_step WHERE one_way;

-- Attempts: of each step that is done, and a rehearsal of every second one that has a way back.
CREATE TEMP TABLE bench_attempt ON COMMIT DROP AS
SELECT md5('forward' || id)::uuid AS uid, s.*, 'forward' AS direction,
    'step_done' AS state FROM bench_step s WHERE done
UNION ALL
SELECT md5('rehearsal' || id)::uuid, s.*, 'rehearsal', 'returned' FROM bench_step s
    WHERE NOT one_way AND (n + k) % 2 = 0
UNION ALL
SELECT md5('live' || s.id)::uuid, s.*, 'forward', 'judging' FROM bench_step s
    JOIN bench_plan p ON p.id = s.plan WHERE s.k = p.done AND NOT one_way AND s.n % 100 = 3;

INSERT INTO migrator_attempt (id, step_id, plan_id, cluster_id, direction, step_version, kind,
    parameters, check_kind, check_parameters, back_check_kind, back_check_parameters, state,
    reason, before, diff, memory, seen, exposes, due_at, asked_by_id, asked_at, prepared_at,
    changed_at, ended_at)
SELECT uid, id, plan, cluster, direction, 2, kind, '{}', 'none', '{}', 'none', '{}', state, '',
    '{"spec": {"routes": []}}', '["weight of bench: 0 → 10"]', '{}',
    '{"sentence": "Of 4,000 requests in 10 minutes none failed."}', state = 'judging',
    at + interval '1 hour', erik, at, at, at,
    CASE WHEN state = 'judging' THEN NULL ELSE at + interval '1 hour' END
FROM bench_attempt;

INSERT INTO migrator_steplease (attempt_id, fence, holder, renewals, held, given_up)
SELECT uid, 1, 'bench', 700, state = 'judging', false FROM bench_attempt;

INSERT INTO migrator_steprehearsal (step_id, step_version, attempt_id, mark, by_id, at,
    duration_s, succeeded, differences, notes)
SELECT id, 2, uid, 'real_route', erik, at, 45, true, '[]', '' FROM bench_attempt
WHERE direction = 'rehearsal';

INSERT INTO migrator_historyentry (plan_id, step_id, attempt_id, at, kind, text, data, actor_id)
SELECT plan, id, uid, at + e * interval '3 minutes', CASE e % 3 WHEN 0 THEN 'evidence' ELSE 'state'
    END, 'Entry ' || e || ' of an attempt at step ' || k, '{"state": "judging"}', erik
FROM bench_attempt, generate_series(1, 6) e;

INSERT INTO migrator_historyentry (plan_id, at, kind, text, data, actor_id)
SELECT id, now() - interval '200 days' + e * interval '1 day', 'action', 'The plan was edited.',
    '{}', lea FROM bench_plan, generate_series(1, 4) e;

-- One plan and one service with a long past.
INSERT INTO migrator_historyentry (plan_id, at, kind, text, data, actor_id)
SELECT 1000004, now() - e * interval '1 minute', 'action', 'The rope was checked.', '{}', u.id
FROM generate_series(:first, :services * 2) e, (SELECT id FROM core_user WHERE username = 'lea') u;

INSERT INTO migrator_servicechange (service_id, verb, by_id, at, details)
SELECT 1000001, 'edited', u.id, now(), '{"tier": ["2", "1"]}'
FROM generate_series(:first, :services / 2) e, (SELECT id FROM core_user WHERE username = 'lea') u;

-- A day of the hourly looks at every rope.
INSERT INTO migrator_ropecheck (plan_id, at, within_reach, lines)
SELECT id, now() - h * interval '1 hour', h % 12 <> 0,
    '[{"name": "legacy", "passed": true, "sentence": "legacy answered."}]'
FROM bench_plan, generate_series(1, 24) h;

INSERT INTO migrator_override (plan_id, step_id, code, subject, reason, signed_by_id, signed_at,
    expires_at)
SELECT plan, id, 'unrehearsed', '', 'It is too late for that.', lea, at, now() + interval '1 day'
FROM bench_step WHERE k = 1 AND n % 50 = 2;

INSERT INTO migrator_freezewindow (cluster_id, starts_at, ends_at, why, declared_by_id,
    declared_at)
SELECT 1000001 + f % 8, now() - f * interval '3 days', now() - f * interval '3 days'
    + interval '1 day', 'Quarter end', u.id, now() - f * interval '4 days'
FROM generate_series(greatest(1, :first / 50), :services / 50) f,
    (SELECT id FROM core_user WHERE username = 'lea') u;

-- Gamedays of the past on the QA clusters, and what was found in them: one for two services.
CREATE TEMP TABLE bench_run ON COMMIT DROP AS
SELECT md5('run' || g)::uuid AS uid, 1000000 + g AS id, 1000001 + g % 4 * 2 AS cluster, u.id AS lea,
    now() - g * interval '6 hours' AS at
FROM generate_series(greatest(1, :first / 20), :services / 20) g,
    (SELECT id FROM core_user WHERE username = 'lea') u;
DELETE FROM bench_run WHERE id IN (SELECT id FROM gamedays_gameday);

INSERT INTO gamedays_gameday (id, cluster_id, title, purpose, period, time_zone, facilitator_id,
    autostart, state, booked_by_id, booked_at, started_at, started_by_id, ended_at)
SELECT id, cluster, 'Bench gameday', 'gameday', tstzrange(at, at + interval '1 hour'), 'UTC', lea,
    false, 'done', lea, at, at, lea, at + interval '1 hour' FROM bench_run;

INSERT INTO gamedays_agendaitem (id, gameday_id, position, scenario_key, scenario_version,
    parameters)
SELECT id, id, 0, 'scheduler-down', 1, '{"mode": "hold"}' FROM bench_run;

INSERT INTO gamedays_injection (id, agenda_item_id, cluster_id, cluster_stage, scenario_key,
    scenario_version, parameters, state, verdict, reason, doubt, recipe, fingerprint, judgement,
    asked_by_id, asked_at, due_at, injecting_at, bitten_at, undone_at, restored_at, ended_at)
SELECT uid, id, cluster, 'qa', 'scheduler-down', 1, '{"mode": "hold"}', 'clean', 'broke', '', '',
    '{}', '{}', '[]', lea, at, at, at, at, at, at, at FROM bench_run;

INSERT INTO gamedays_finding (cluster_id, injection_id, title, believed, happened, cause, severity,
    status, drafted, scenario_key, scenario_version, parameters, symptom, owner_id, service_id,
    created_at, updated_at, version)
SELECT cluster, uid, 'Bench finding ' || f, '', 'It answered errors.', '',
    (ARRAY['low', 'medium', 'high', 'critical'])[1 + f % 4],
    (ARRAY['open', 'acknowledged', 'fix_in_progress', 'fix_ready'])[1 + f % 4], false,
    'scheduler-down', 1, '{}', '{}', lea, CASE f % 2 WHEN 0 THEN 1000000 + id % 1000000 END,
    at + f * interval '1 minute', now(), 1
FROM bench_run, generate_series(1, 10) f;

-- Where each stands and what holds it, as the board keeps it ready: its triggers slept until here.
INSERT INTO migrator_servicestanding (service_id, stage, health, sentence, clears, link, plan_id,
    step_id, steps, behind, began_at, arrived_at, looked_at, look_again_at)
SELECT s.id, (ARRAY['unplanned', 'planned', 'on_qa', 'proved', 'on_production', 'arrived'])
    [1 + s.id % 6], CASE WHEN s.id % 6 = 0 THEN 'not_planned' ELSE
    (ARRAY['blocked', 'late', 'rolled_back', 'on_track', 'on_track'])[1 + s.id % 5] END,
    'A finding is not proved fixed.', 'Open the finding', '/findings/1/', p.id, t.id, 8, s.id % 8,
    now() - interval '90 days', CASE WHEN s.id % 6 = 5 THEN now() - interval '9 days' END, now(),
    now() + interval '1 hour'
FROM migrator_service s LEFT JOIN LATERAL (SELECT id FROM migrator_plan WHERE service_id = s.id
    ORDER BY id LIMIT 1) p ON true LEFT JOIN migrator_step t ON t.plan_id = p.id AND t.position = 1
WHERE s.id BETWEEN 1000000 + :first AND 1000000 + :services
ON CONFLICT DO NOTHING;

INSERT INTO migrator_hold (service_id, plan_id, step_id, code, subject, cause, sentence, clears,
    link)
SELECT service_id, plan_id, step_id, 'blocking_finding', (service_id % 40)::text,
    'Finding ' || service_id % 40, 'A finding is not proved fixed.', 'Open the finding',
    '/findings/1/'
FROM migrator_servicestanding
WHERE health = 'blocked' AND step_id IS NOT NULL
    AND service_id BETWEEN 1000000 + :first AND 1000000 + :services;

SELECT setval(pg_get_serial_sequence(t, 'id'), 900000000) FROM unnest(ARRAY['migrator_service',
    'migrator_plan', 'migrator_step', 'migrator_plantemplate', 'migrator_templateversion',
    'core_team', 'core_cluster', 'gamedays_gameday', 'gamedays_agendaitem']) t;
