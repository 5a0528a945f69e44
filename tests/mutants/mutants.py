"""The breakages: for each sentence of the promise, and for each fault that once broke it, one that undoes exactly it."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_CORE = "layers/core/batchdrop"
_API = f"{_CORE}/adapters/claude.py"
_DYNAMODB = f"{_CORE}/adapters/dynamodb.py"
_TRANSACTION = f"{_CORE}/adapters/transaction.py"
_ADMISSION = f"{_CORE}/domain/admission.py"
_RECONCILE = f"{_CORE}/domain/reconcile.py"
_REFUSALS = f"{_CORE}/domain/refusals.py"
_RETRIES = f"{_CORE}/domain/retries.py"
_TRANSITIONS = f"{_CORE}/domain/transitions.py"
_ADMIT = f"{_CORE}/jobs/admit.py"
_BUDGET = f"{_CORE}/jobs/budget.py"
_COLLECT = f"{_CORE}/stages/collect/ended_batch.py"
_ROUTE = f"{_CORE}/stages/collect/route.py"
_ROW_LINES = f"{_CORE}/stages/collect/row_lines.py"
_TABLES = f"{_CORE}/stages/collect/tables.py"
_DOWNLOAD = f"{_CORE}/stages/collect/download.py"
_FINISH = f"{_CORE}/stages/finish/outputs.py"
_CUT = f"{_CORE}/stages/plan/batches.py"
_IMPROVE = f"{_CORE}/stages/plan/improve.py"
_PLAN = f"{_CORE}/stages/plan/upload.py"
_PAUSED = f"{_CORE}/stages/poll/paused.py"
_SETTLE = f"{_CORE}/stages/poll/settle.py"
_WATCH = f"{_CORE}/stages/poll/watch.py"
_POST = f"{_CORE}/stages/submit/post.py"
_COMMANDS = f"{_CORE}/stages/control/commands.py"

_COUNTERS = "tests/unit/test_transitions.py::test_the_counters_add_up_after_every_edge"

MUTANTS: tuple[Mutant, ...] = (
    # One upload is one job.
    Mutant(
        "The same version of an object is the same job, however late its event",
        _PLAN,
        "id=ids.job_id(info.ref, info.written_at),",
        "id=ids.job_id(info.ref, self.clock.now()),",
        "tests/stages/test_journey.py::test_the_same_event_five_times_is_one_job",
    ),
    Mutant(
        "Another version of the same content is another job",
        f"{_CORE}/domain/ids.py",
        'one.version_id or f"etag:{one.etag}"',
        'f"etag:{one.etag}"',
        "tests/stages/test_journey.py::test_dropping_again_is_a_new_job",
    ),
    Mutant(
        "The version that was uploaded is planned, not the newest",
        _PLAN,
        "self.objects.head(upload.key, upload.version_id)",
        "self.objects.head(upload.key)",
        "tests/stages/test_journey.py::test_the_version_of_the_event_is_read_not_the_newest",
    ),
    Mutant(
        "The version that was planned is read, not the newest",
        f"{_CORE}/adapters/s3.py",
        "options = _version(self._ref.version_id)",
        "options = _version(None)",
        "tests/adapters/test_objects.py::test_an_old_version_stays_readable",
    ),
    Mutant(
        "A read that broke off goes on with the same version",
        f"{_CORE}/adapters/s3.py",
        'options["IfMatch"] = _quoted(self._ref.etag)',
        "pass",
        "tests/adapters/test_objects.py::test_another_etag_is_gone",
    ),
    Mutant(
        "One invocation at a time plans a job",
        _PLAN,
        "if job.lease_until is not None and self.clock.now() < job.lease_until:",
        "if False:",
        "tests/stages/test_journey.py::test_an_event_that_comes_again_while_its_file_is_planned_reads_nothing",
    ),
    Mutant(
        "A batch that another invocation has cut otherwise is not taken for our own",
        _CUT,
        "if stored is None or stored.span != batch.span:",
        "if stored is None:",
        "tests/stages/test_long_files.py::test_a_batch_that_another_invocation_cut_shorter_is_not_taken_for_our_own",
    ),
    # A file and its recipe find each other.
    Mutant(
        "A job is held only while no recipe has arrived since it looked",
        _TRANSITIONS,
        "        arrivals=Arrivals(team=team_of(job.input.key), count=arrivals),\n",
        "",
        "tests/stages/test_held.py::test_a_recipe_that_arrives_before_the_move_to_held_is_not_missed",
    ),
    Mutant(
        "The table checks the count of a team's recipes",
        _TRANSACTION,
        "        if guard.arrivals is not None:\n",
        "        if False:\n",
        "tests/adapters/test_ledger.py::test_a_job_is_held_only_while_so_many_recipes_have_arrived",
    ),
    Mutant(
        "Recipes are counted before one is looked for",
        _PLAN,
        "            self._hold(job, str(reason), arrivals)\n",
        "            self._hold(job, str(reason), self.ledger.get_arrivals(keys.team_of(job.input.key)).count)\n",
        "tests/stages/test_held.py::test_a_recipe_that_arrives_after_the_look_is_not_missed",
    ),
    Mutant(
        "A recipe is counted before it wakes anybody",
        f"{_CORE}/stages/plan/wake.py",
        "        arrivals = self._count(keys.team_of(recipe_key))\n"
        "        now = self.clock.now()\n"
        "        for job in to_wake(self.ledger, arrivals, now, limit=_WOKEN):\n"
        "            with suppress(LostRace):  # it has been woken, or is being canceled\n"
        "                self.commit(transitions.woken(job, now=now))\n",
        "        before = self.ledger.get_arrivals(keys.team_of(recipe_key))\n"
        "        now = self.clock.now()\n"
        "        for job in to_wake(self.ledger, msgspec.structs.replace(before, count=before.count + 1), now, limit=_WOKEN):\n"
        "            with suppress(LostRace):\n"
        "                self.commit(transitions.woken(job, now=now))\n"
        "        arrivals = self._count(before.team)\n",
        "tests/stages/test_held.py::test_whoever_dies_between_the_count_and_the_wake_leaves_it_to_the_tick",
    ),
    Mutant(
        "A job of which more than a pilot was sent keeps its recipe",
        _IMPROVE,
        "    return not batch.tries and (batch.prefixes != () or batch.admitted_at is not None)\n",
        "    return False\n",
        "tests/stages/test_improved_recipe.py::test_a_job_of_which_batches_were_sent_is_left_alone",
    ),
    Mutant(
        "A job ends for a successor in the move that opens it",
        _TRANSITIONS,
        "    return Move(job, replace(job, cancel_requested=True, reason=reason, note=note), also=(opened(newer),))\n",
        "    return Move(None, newer)\n",
        "tests/stages/test_improved_recipe.py::test_an_approval_that_is_first_wins",
    ),
    Mutant(
        "Each version of a recipe has a job of its own",
        _IMPROVE,
        "                id=ids.job_id(job.input, ids.uploaded_at(job.id), found),\n",
        "                id=ids.job_id(job.input, ids.uploaded_at(job.id)),\n",
        "tests/stages/test_improved_recipe.py::test_an_improved_recipe_opens_a_job_of_its_own",
    ),
    Mutant(
        "A faulty recipe ends no job",
        _IMPROVE,
        "            self.check(replace(newer, text=job.text), found)\n",
        "",
        "tests/stages/test_improved_recipe.py::test_a_faulty_recipe_ends_nothing_and_is_named",
    ),
    Mutant(
        "Before a job is let go, it has looked for an improved recipe",
        _PAUSED,
        "                if not self._told(job, arrivals(team_of(job.input.key)), now):\n",
        "                if True:\n",
        "tests/stages/test_improved_recipe.py::test_a_job_looks_before_its_limit_lets_it_go",
    ),
    Mutant(
        "Each tick looks again at jobs whose team has another count",
        f"{_CORE}/jobs/to_wake.py",
        "(job.arrivals != arrivals.count or waited_long(job, now))",
        "waited_long(job, now)",
        "tests/stages/test_held.py::test_a_late_index_is_looked_at_again",
    ),
    Mutant(
        "A custom id that is in the file twice is sent once",
        f"{_CORE}/stages/plan/check.py",
        "if not self.repeated:",
        "if self.rows:",
        "tests/stages/test_bad_input.py::test_a_repeated_custom_id_is_found_across_batches",
    ),
    Mutant(
        "A late event of a deleted version leaves the job of that version alone",
        _PLAN,
        "if self.ledger.get_job(job.id) is not None:",
        "if False:",
        "tests/stages/test_bad_input.py::test_a_late_event_of_a_deleted_version_leaves_its_running_job_alone",
    ),
    # The intent comes before the POST, and the POST is sent once.
    Mutant(
        "The intent is stored",
        _POST,
        "return self.commit(transitions.intended(batch, prefix, key, now=now, lease_until=lease_until))",
        "return transitions.intended(batch, prefix, key, now=now, lease_until=lease_until).after",
        "tests/stages/test_reconcile.py::test_a_function_that_is_killed_while_it_posts_leaves_a_trace",
    ),
    Mutant(
        "The intent is stored before the POST",
        _POST,
        """\
            intended = self._intend(batch, prefix, key, deadline)
            try:
                answer = self.claude.create(body.path, headers_of(job), within=deadline.remaining() * _POST_SHARE)
""",
        """\
            try:
                answer = self.claude.create(body.path, headers_of(job), within=deadline.remaining() * _POST_SHARE)
                intended = self._intend(batch, prefix, key, deadline)
""",
        "tests/stages/test_reconcile.py::test_a_function_that_is_killed_while_it_posts_leaves_a_trace",
    ),
    Mutant(
        "The intent has a lease: while the POST may be under way, nobody decides about it",
        _POST,
        "lease_until = transitions.lease(now, deadline.remaining())",
        "lease_until = now",
        "tests/stages/test_reconcile.py::test_nothing_is_decided_while_a_create_is_under_way",
    ),
    Mutant(
        "The lease is looked at before a create is decided",
        _RECONCILE,
        "batch.lease_until is not None and batch.lease_until <= at",
        "batch.lease_until is not None",
        "tests/stages/test_reconcile.py::test_nothing_is_decided_while_a_create_is_under_way",
    ),
    Mutant(
        "A submit message that is delivered twice sends once, and is no error",
        _POST,
        "or batch.state is not BatchState.ready or batch.admitted_at is None",
        "or batch.admitted_at is None",
        "tests/stages/test_admission.py::test_a_submit_message_delivered_twice_sends_once",
    ),
    Mutant(
        "A batch that is not admitted, or waits again, is not sent",
        _POST,
        "or batch.state is not BatchState.ready or batch.admitted_at is None",
        "or batch.state is not BatchState.ready",
        "tests/stages/test_admission.py::test_a_submit_message_of_a_batch_that_waits_again_sends_nothing",
    ),
    Mutant(
        "Of two invocations that write an intent, one wins",
        _TRANSACTION,
        """\
        change.require(_nobody_changed_it(change, before.revision))
        change.put(batch_item(_next_revision(before, after)))
""",
        """\
        change.put(batch_item(_next_revision(before, after)))
""",
        "tests/adapters/test_ledger.py::test_the_second_of_two_batch_movers_loses_and_changes_nothing",
    ),
    Mutant(
        "The SDK's own retries are off",
        _API,
        '"max_retries": 0,',
        '"max_retries": 2,',
        "tests/adapters/test_claude_answers.py::test_everything_else_is_ambiguous_and_sent_once",
    ),
    Mutant(
        "A 500 is no definite answer",
        _API,
        "_DEFINITE = frozenset({400,",
        "_DEFINITE = frozenset({500, 400,",
        "tests/adapters/test_claude_answers.py::test_everything_else_is_ambiguous_and_sent_once",
    ),
    Mutant(
        "A connection that is lost after bytes were sent is no definite answer",
        _API,
        "                if error.sent:\n",
        "                if False:\n",
        "tests/adapters/test_claude_answers.py::test_a_connection_dropped_before_the_answer_is_ambiguous",
    ),
    Mutant(
        "A page of somebody in between is no definite answer",
        _API,
        "        if status == 413:\n",
        "        if status in _DEFINITE:\n",
        "tests/adapters/test_claude_answers.py::test_everything_else_is_ambiguous_and_sent_once",
    ),
    Mutant(
        "No redirect repeats a create",
        _API,
        "                    follow_redirects=False,\n",
        "                    follow_redirects=True,\n",
        "tests/adapters/test_claude_answers.py::test_everything_else_is_ambiguous_and_sent_once",
    ),
    Mutant(
        "A definite refusal puts the batch back, which nobody has to look for",
        _POST,
        "        self.commit(transitions.refused(batch, not_before=until))\n",
        "",
        "tests/stages/test_admission.py::test_a_429_slows_down_and_loses_nothing",
    ),
    Mutant(
        "After no definite answer a batch stays as it is, and is not sent again on that evidence",
        _POST,
        "self.commit(transitions.unanswered(intended, now=self.clock.now()))",
        "self.commit(transitions.refused(intended))",
        "tests/stages/test_reconcile.py::test_an_accepted_create_is_adopted",
    ),
    Mutant(
        "A transaction whose answer is lost is not taken for a lost race when it is tried again",
        _DYNAMODB,
        "ClientRequestToken=token)",
        "ClientRequestToken=uuid.uuid4().hex)",
        "tests/adapters/test_transactions.py::test_a_conflict_is_tried_again_with_the_same_token",
    ),
    Mutant(
        "A transaction that only met another one has not lost a race",
        _DYNAMODB,
        'if code == "ConditionalCheckFailed"',
        'if code != "None"',
        "tests/adapters/test_transactions.py::test_a_conflict_is_tried_again_with_the_same_token",
    ),
    Mutant(
        "A lost race is not taken for success",
        _DYNAMODB,
        "raise LostRace(str(unmet)) from unmet",
        "return move.after",
        "tests/adapters/test_ledger.py::test_the_second_of_two_batch_movers_loses_and_changes_nothing",
    ),
    # Nothing is sent unasked.
    Mutant(
        "The switch is asked again right before spending",
        _POST,
        "return self.switch.state() is SwitchState.run and may_be_sent(",
        "return may_be_sent(",
        "tests/stages/test_switch.py::test_what_was_admitted_is_asked_again_before_it_is_sent",
    ),
    Mutant(
        "The switch is asked before a batch is admitted",
        _ADMIT,
        "if self.switch.state() is not SwitchState.run:",
        "if False:",
        "tests/stages/test_switch.py::test_nothing_is_sent_unless_it_says_run",
    ),
    Mutant(
        "A switch that cannot be read stands on pause",
        f"{_CORE}/adapters/switch.py",
        "except (BotoCoreError, ClientError, ValueError):\n            return SwitchState.pause",
        "except (BotoCoreError, ClientError, ValueError):\n            return SwitchState.run",
        "tests/adapters/test_small.py::test_the_switch_fails_closed",
    ),
    Mutant(
        "No deployment takes back where the switch stands",
        f"{_CORE}/adapters/switch.py",
        "                self._store(strictest)\n",
        "                pass\n",
        "tests/adapters/test_small.py::test_the_stricter_position_counts_and_no_deployment_takes_it_back",
    ),
    Mutant(
        "The API's no since the admission is heard right before spending",
        _ADMISSION,
        "return batch.admitted_at > admission.blocked_at  # the probe",
        "return True",
        "tests/stages/test_admission.py::test_a_block_stops_what_the_same_tick_goes_on_admitting",
    ),
    Mutant(
        "While the API asks to slow down, nothing is admitted",
        _ADMISSION,
        "    if is_throttled(admission, now):\n        return 0\n",
        "",
        "tests/stages/test_admission.py::test_a_429_slows_down_and_loses_nothing",
    ),
    Mutant(
        "When the API asks to slow down, what was admitted before waits as well",
        _ADMISSION,
        "    if is_throttled(admission, now):\n        return False\n",
        "",
        "tests/stages/test_admission.py::test_a_429_slows_down_and_loses_nothing",
    ),
    Mutant(
        "The limit on queued requests is a condition of the admission",
        _TRANSITIONS,
        "queue_limit=queue_limit, may_use=reserve.may_use),",
        "may_use=reserve.may_use),",
        "tests/stages/test_admission.py::test_two_ticks_at_once_stay_under_the_limit",
    ),
    Mutant(
        "The limit on queued requests is a condition of the transaction",
        _TRANSACTION,
        "        if limit is not None:\n",
        "        if False:\n",
        "tests/adapters/test_ledger.py::test_the_limit_on_queued_requests_is_never_passed",
    ),
    Mutant(
        "A cancel that meets an accepted POST cancels the batch",
        _POST,
        "if job is not None and job.cancel_requested:\n            self.cancel_batch(accepted)",
        "if False:\n            self.cancel_batch(accepted)",
        "tests/stages/test_control.py::TestCancel::test_while_a_create_is_under_way_and_then_accepted",
    ),
    Mutant(
        "Nothing is sent of a move that lost its race",
        f"{_CORE}/jobs/commit.py",
        """\
        stored = self.ledger.commit(move)
        for part in (move, *move.also):
            for message in part.messages:
                self.queues.send(message)
        return stored
""",
        """\
        for part in (move, *move.also):
            for message in part.messages:
                self.queues.send(message)
        return self.ledger.commit(move)
""",
        "tests/stages/test_admission.py::test_two_ticks_at_once_stay_under_the_limit",
    ),
    # A create without an answer: it is sent again only after three looks that found no trace.
    Mutant(
        "One look without a trace releases nothing",
        _RECONCILE,
        "\nLOOKS = 3\n",
        "\nLOOKS = 1\n",
        "tests/stages/test_reconcile.py::test_a_release_takes_three_looks_that_are_half_a_grace_apart",
    ),
    Mutant(
        "The looks are spread over the grace",
        _RECONCILE,
        "if looks and at < looks[-1] + grace / (LOOKS - 1):",
        "if False:",
        "tests/stages/test_reconcile.py::test_a_release_takes_three_looks_that_are_half_a_grace_apart",
    ),
    Mutant(
        "An outage of the list does not use up the grace",
        _RECONCILE,
        "return Release() if len(looks) + 1 >= LOOKS else NoTrace()",
        "return Release() if at >= (batch.lease_until or at) + grace else NoTrace()",
        "tests/stages/test_reconcile.py::test_after_an_outage_a_list_that_lags_behind_releases_nothing",
    ),
    Mutant(
        "A look that finds a trace starts the count anew",
        _TRANSITIONS,
        "no_trace_at = () if trace else (*batch.no_trace_at, at)",
        "no_trace_at = batch.no_trace_at if trace else (*batch.no_trace_at, at)",
        "tests/stages/test_reconcile.py::test_a_candidate_that_is_ruled_out_starts_the_count_anew",
    ),
    Mutant(
        "A list that could not be read to its end is no look",
        _WATCH,
        "        if not reached:\n",
        "        if False:\n",
        "tests/stages/test_reconcile.py::test_a_list_without_end_settles_nothing",
    ),
    Mutant(
        "A batch that the API creates late is found as long as ours may be released",
        _RECONCILE,
        "return (batch.first_look_at or look.at) + grace + CLOCK_SKEW",
        "return (batch.lease_until or look.at) + CLOCK_SKEW",
        "tests/stages/test_reconcile.py::test_a_batch_that_the_api_creates_late_is_adopted_and_not_sent_again",
    ),
    Mutant(
        "What the first create of a released batch has left can still be found",
        _RECONCILE,
        "return (batch.first_intent_at or batch.intent_at or batch.start_tag) - CLOCK_SKEW",
        "return (batch.intent_at or batch.start_tag) - CLOCK_SKEW",
        "tests/stages/test_identity.py::test_a_released_batch_is_recognized_when_its_first_create_appears_late",
    ),
    Mutant(
        "Nothing is released under the key of another workspace",
        _SETTLE,
        "workspaces[batch.key] = self._sees_what_was_sent_with(batch.key, look)",
        "workspaces[batch.key] = True",
        "tests/stages/test_keys.py::test_nothing_is_released_under_the_key_of_another_workspace",
    ),
    Mutant(
        "A list that was read with two keys is no look",
        _WATCH,
        "if key not in (None, page.key):",
        "if False:",
        "tests/stages/test_keys.py::test_a_list_that_was_read_with_two_keys_is_no_look",
    ),
    Mutant(
        "A key that was replaced is not used for longer than the grace",
        f"{_CORE}/adapters/secrets.py",
        "KEY_LIFETIME = timedelta(minutes=5)",
        "KEY_LIFETIME = timedelta(hours=5)",
        "tests/adapters/test_small.py::test_a_replaced_key_is_used_after_five_minutes_or_at_once_on_demand",
    ),
    Mutant(
        "A read that a key is refused for is repeated with the key that the secret holds by now",
        _API,
        "_READ_WITH_ANOTHER_KEY = frozenset({401, 402, 403})",
        "_READ_WITH_ANOTHER_KEY = frozenset({401})",
        "tests/adapters/test_claude_answers.py::test_a_refused_read_is_repeated_with_the_key_that_the_secret_holds_by_now",
    ),
    Mutant(
        "A refusal of a key that was replaced meanwhile blocks nobody",
        _POST,
        "if cause is not None and self._key_was_replaced(batch):",
        "if False:",
        "tests/stages/test_keys.py::test_a_refusal_of_a_key_that_was_replaced_meanwhile_blocks_nobody",
    ),
    Mutant(
        "A create that never gets an answer is sent less and less often",
        _SETTLE,
        "pause = reconcile.pause_before_sending_again(batch.releases)",
        "pause = timedelta()",
        "tests/stages/test_reconcile.py::test_a_create_that_never_gets_an_answer_is_sent_less_and_less_often",
    ),
    Mutant(
        "A create that never gets an answer rings an alarm",
        _SETTLE,
        'self.metrics.count("UnansweredCreates", released.releases)',
        "pass",
        "tests/stages/test_reconcile.py::test_a_create_that_never_gets_an_answer_is_sent_less_and_less_often",
    ),
    Mutant(
        "A batch in doubt ends when whatever it may have created is deleted",
        _RECONCILE,
        "if at >= batch.lease_until + grace + CLOCK_SKEW + RESULTS_KEPT:",
        "if False:",
        "tests/stages/test_reconcile.py::test_two_creates_that_nothing_tells_apart_end_when_their_results_are_deleted",
    ),
    Mutant(
        "What cannot be settled is not guessed: its rows are not sent again",
        _SETTLE,
        "self.commit(transitions.unsent(batch, _UNKNOWN, now=self.clock.now()))",
        "self._release(batch)",
        "tests/stages/test_reconcile.py::test_two_creates_that_nothing_tells_apart_end_when_their_results_are_deleted",
    ),
    # A batch that is found counts as ours only when the ids in its results prove it.
    Mutant(
        "A batch of another count is no candidate",
        _RECONCILE,
        "if one.requests == batch.requests\n        and ",
        "if ",
        "tests/unit/test_reconcile.py::test_a_candidate_has_as_many_requests_and_has_not_proved_to_be_another",
    ),
    Mutant(
        "A batch that another one has claimed is no candidate",
        _SETTLE,
        "free = [one for one, owner in owners.items() if owner is None]",
        "free = list(owners)",
        "tests/stages/test_reconcile.py::test_what_another_batch_has_claimed_is_not_waited_for",
    ),
    Mutant(
        "A batch that proved not to be ours is no candidate again",
        _RECONCILE,
        "        and one.id not in batch.not_ours\n",
        "",
        "tests/unit/test_reconcile.py::test_a_candidate_has_as_many_requests_and_has_not_proved_to_be_another",
    ),
    Mutant(
        "A batch at the API belongs to one batch of ours",
        _TRANSACTION,
        "            gained.require(nobody_has_it)\n",
        "",
        "tests/adapters/test_ledger.py::test_an_api_batch_belongs_to_one_batch",
    ),
    Mutant(
        "Of two lost creates of the same size none is adopted by its count",
        _RECONCILE,
        "contested = doubtful or any(rival.requests == batch.requests for rival in rivals)",
        "contested = doubtful",
        "tests/stages/test_reconcile.py::test_of_two_lost_creates_of_the_same_size_one_had_not_arrived",
    ),
    Mutant(
        "Ours is not released while another batch may hold it by mistake",
        _SETTLE,
        "doubtful = any(self._may_be_mistaken(one.id, owner) for one, owner in owners.items() if owner is not None)",
        "doubtful = False",
        "tests/stages/test_reconcile.py::test_ours_is_not_released_while_another_batch_holds_it_by_mistake",
    ),
    Mutant(
        "A batch that was adopted has to be confirmed",
        _TRANSITIONS,
        "adopted=not certain,",
        "adopted=False,",
        "tests/stages/test_reconcile.py::test_an_adopted_batch_of_others_is_given_back_and_ours_is_sent",
    ),
    Mutant(
        "The first result confirms it",
        _DOWNLOAD,
        "                if self._batch.adopted:\n",
        "                if False:\n",
        "tests/stages/test_reconcile.py::test_an_adopted_batch_of_others_is_given_back_and_ours_is_sent",
    ),
    Mutant(
        "Of several that could be ours, the first result decides",
        _SETTLE,
        "if reconcile.names(batch, first):",
        "if first:",
        "tests/stages/test_reconcile.py::test_batches_of_others_with_the_same_count_are_told_apart",
    ),
    Mutant(
        "A batch that is at the API is never made ready again",
        _TRANSITIONS,
        "@_batch_edge(BatchState.submitting, to=(BatchState.ready,))\ndef released(",
        "@_batch_edge(BatchState.submitting, BatchState.in_progress, to=(BatchState.ready,))\ndef released(",
        "tests/unit/test_transitions.py::test_a_batch_at_the_api_is_never_made_ready",
    ),
    Mutant(
        "A batch that is certainly ours is not given back for a 404",
        _WATCH,
        "            if batch.adopted:\n",
        "            if True:\n",
        "tests/stages/test_identity.py::test_a_batch_that_is_certainly_ours_is_never_given_back",
    ),
    Mutant(
        "A 404 of a known batch is not an end",
        _WATCH,
        "if batch.created_at is None or now < batch.created_at + RESULTS_KEPT:",
        "if batch.created_at is None:",
        "tests/stages/test_repair.py::test_a_transient_404_on_a_known_batch_is_not_an_end",
    ),
    Mutant(
        "An adopted batch is not canceled before it is known to be ours",
        f"{_CORE}/jobs/cancel.py",
        "elif batch.state is BatchState.in_progress and not batch.adopted:",
        "elif batch.state is BatchState.in_progress:",
        "tests/stages/test_reconcile.py::test_an_adopted_batch_is_not_canceled_before_it_is_known_to_be_ours",
    ),
    Mutant(
        "Nobody can know the ids of a create before its results exist",
        _POST,
        "prefix = ids.new_prefix()",
        "prefix = job.token",
        "tests/stages/test_identity.py::test_a_stranger_who_has_seen_earlier_results_has_nothing_delivered",
    ),
    Mutant(
        "A batch keeps the prefixes of all its creates",
        _TRANSITIONS,
        "prefixes = (*prefixes_of(batch), prefix)",
        "prefixes = (prefix,)",
        "tests/stages/test_identity.py::test_a_released_batch_is_recognized_when_its_first_create_appears_late",
    ),
    Mutant(
        "The ids of a batch that 0.1.0 sent are known",
        f"{_CORE}/domain/ids.py",
        'return (f"{token_of(batch.job_id)}-{batch.attempt}",)',
        "return ()",
        "tests/stages/test_identity.py::test_a_batch_that_0_1_0_sent_is_confirmed_and_collected",
    ),
    Mutant(
        "An adopted batch that its owner deletes is given back",
        _RECONCILE,
        "if since is not None and batch.not_found + 1 >= NOT_FOUND and now >= since + NOT_FOUND_FOR:",
        "if False:",
        "tests/stages/test_identity.py::test_an_adopted_batch_that_its_owner_deletes_is_given_back",
    ),
    Mutant(
        "A 404 of a key that sees another workspace does not prove that a batch is not ours",
        _RECONCILE,
        "return transitions.disowned(batch, not_ours=False)",
        "return transitions.disowned(batch, not_ours=True)",
        "tests/stages/test_keys.py::test_what_was_adopted_is_not_sent_again_because_the_key_of_another_workspace_does_not_see_it",
    ),
    Mutant(
        "Once its first answers were ours, a batch is not given back for a 404",
        _TRANSITIONS,
        "adopted=batch.adopted and not confirmed,",
        "adopted=batch.adopted,",
        "tests/stages/test_identity.py::test_a_batch_whose_first_answers_were_ours_is_never_given_back",
    ),
    # A refusal costs no good row, and stops nobody else.
    Mutant(
        "No credit is about the account, though it comes as a 400",
        _REFUSALS,
        '    (re.compile(r"your credit balance is too low\\b"), Cause.credit),\n',
        "",
        "tests/unit/test_refusals.py::test_what_is_about_the_account",
    ),
    Mutant(
        "A reached limit of the contract is not waited for like any other 429",
        _REFUSALS,
        '    "contract_spend_limit_reached": Cause.contract,\n',
        "",
        "tests/unit/test_refusals.py::test_what_is_about_the_account",
    ),
    Mutant(
        "A row that is refused alone ends only on evidence that it is at fault",
        _POST,
        "sure = can_be_isolated and (refusals.is_of_a_row(refusal) or refusals.is_at_fault(refused_as[-1], job))",
        "sure = can_be_isolated",
        "tests/stages/test_splitting.py::test_a_job_of_which_everything_is_refused_waits_and_says_so",
    ),
    Mutant(
        "Good rows never end with the bad ones, however often a batch has to be cut",
        _POST,
        "if (sure and batch.requests == 1) or",
        "if (sure and (batch.requests == 1 or job.splits >= 4)) or",
        "tests/stages/test_splitting.py::test_bad_rows_side_by_side_end_without_the_good_ones",
    ),
    Mutant(
        "A hold that ends costs no row when it comes back in the same words",
        _REFUSALS,
        " and refused.words != job.words_of_the_account",
        "",
        "tests/stages/test_splitting.py::test_a_hold_that_comes_back_in_the_same_words_costs_no_row",
    ),
    Mutant(
        "A 403 or 404 that one job alone has met stops nobody else",
        _REFUSALS,
        "return bool(admission.blocked) or any(other != job_id for other in admission.refused_jobs)",
        "return True",
        "tests/stages/test_one_job_alone.py::test_a_row_that_the_api_forbids_stops_nobody_else",
    ),
    Mutant(
        "The probes of a block take turns among the jobs",
        _ADMIT,
        "for_a_probe(in_order, admission) if admission.blocked else in_order",
        "in_order",
        "tests/stages/test_one_job_alone.py::test_probes_take_turns_among_the_jobs",
    ),
    # A row is answered once, and every answer that was paid for is delivered.
    Mutant(
        "A row without a line goes again only if the API's counts leave no room for an answer to it",
        _COLLECT,
        "if succeeded + unbilled < batch.requests:",
        "if False:",
        "tests/stages/test_late_answers.py::test_answers_that_come_late_are_delivered_and_nothing_is_sent_again",
    ),
    Mutant(
        "Two looks at the API's counts have to agree",
        _COLLECT,
        "unbilled = min(counts.unbilled, (batch.api_counts or counts).unbilled)",
        "unbilled = counts.unbilled",
        "tests/stages/test_late_answers.py::test_two_looks_at_the_counts_have_to_agree",
    ),
    Mutant(
        "The audit counts the answers of a row over all its attempts",
        "cli/batchdrop_cli/audit/sent_rows.py",
        'yield self._finding("answered_twice", line,',
        'self._finding("answered_twice", line,',
        "tests/cli/test_job_audit.py::TestApi",
    ),
    Mutant(
        "A repeated line does not hide a missing one",
        _DOWNLOAD,
        "received[number - first] = 1",
        "received.append(1)",
        "tests/stages/test_retries.py::test_a_repeated_line_does_not_hide_a_missing_one",
    ),
    Mutant(
        "Half a line is no result",
        f"{_CORE}/formats/api_result.py",
        "        _check_whole(final)\n",
        "",
        "tests/stages/test_retries.py::test_half_a_line_is_no_result",
    ),
    Mutant(
        "What a batch records covers each of its rows",
        _COLLECT,
        "if covered != expected:",
        "if False:",
        "tests/stages/test_bad_input.py::test_a_read_that_leaves_rows_out_is_repeated",
    ),
    Mutant(
        "What is sent covers each request of the batch",
        _POST,
        "if body.requests != batch.requests:",
        "if False:",
        "tests/stages/test_bad_input.py::test_a_read_that_leaves_rows_out_is_repeated",
    ),
    Mutant(
        "A row that expired goes again",
        _RETRIES,
        '_RETRYABLE_TYPES = frozenset({"expired", "missing"})',
        '_RETRYABLE_TYPES = frozenset({"missing"})',
        "tests/unit/test_retries.py::test_what_is_tried_again",
    ),
    Mutant(
        "A row that errored in a way that may be billed does not go again",
        _RETRIES,
        '(type == "errored" and error_type in _RETRYABLE_ERRORS)',
        'type == "errored"',
        "tests/unit/test_retries.py::test_what_is_tried_again",
    ),
    Mutant(
        "A row is sent so many times at most",
        _COLLECT,
        "return batch.attempt < self.max_attempts and not job.cancel_requested",
        "return not job.cancel_requested",
        "tests/stages/test_retries.py::test_the_attempt_limit",
    ),
    Mutant(
        "Nothing of a canceled job goes again",
        _COLLECT,
        "return batch.attempt < self.max_attempts and not job.cancel_requested",
        "return batch.attempt < self.max_attempts",
        "tests/stages/test_control.py::TestCancel::test_nothing_is_tried_again",
    ),
    Mutant(
        "A row whose results are deleted may have been paid for, and does not go again",
        _COLLECT,
        "rows = self._route(replace(batch, api_id=None, result_lines=0, unsent=_DELETED), job)",
        "rows = self._route(replace(batch, api_id=None, result_lines=0), job)",
        "tests/stages/test_retention.py::test_results_that_cannot_be_found_are_waited_for_until_they_are_deleted",
    ),
    Mutant(
        "A 404 of known results is not an end before they are deleted",
        _COLLECT,
        "if batch.created_at is None or self.clock.now() < batch.created_at + RESULTS_KEPT:",
        "if batch.created_at is None:",
        "tests/stages/test_retention.py::test_results_that_cannot_be_found_are_waited_for_until_they_are_deleted",
    ),
    Mutant(
        "Two runs of collect write parts of their own",
        _COLLECT,
        "run = secrets.token_hex(_RUN_BYTES)",
        'run = ""',
        "tests/stages/test_overlapping_collects.py::test_the_files_hold_what_the_recorded_run_has_seen",
    ),
    Mutant(
        "A run that lost its answer does not remove the parts that count",
        _COLLECT,
        "            if part.key not in recorded:\n",
        "            if part.key:\n",
        "tests/stages/test_overlapping_collects.py::test_a_run_whose_record_was_written_without_an_answer_keeps_its_parts",
    ),
    Mutant(
        "Rows come in input order, whatever attempt answered them",
        f"{_CORE}/stages/collect/pieces.py",
        "while self._next is not None and self._next[0] < number:",
        "while False and self._next is not None:",
        "tests/stages/test_retries.py::test_outputs_are_in_input_order_whatever_attempt_answered",
    ),
    Mutant(
        "A follow-up batch is created once",
        _TRANSACTION,
        "            change.require(change.is_new())\n            change.put(batch_item(after))\n",
        "            change.put(batch_item(after))\n",
        "tests/adapters/test_ledger.py::test_a_follow_up_that_exists_stops_the_move",
    ),
    Mutant(
        "No follow-up is opened for a job that was canceled at the same moment",
        _TRANSITIONS,
        "            guard=Guard(job_state=job.state),\n",
        "",
        "tests/stages/test_control.py::TestCancel::test_while_the_results_are_being_collected",
    ),
    # The outputs are written once, the manifest last.
    Mutant(
        "The last batch is told by what is stored when it is recorded",
        _TRANSITIONS,
        "guard=Guard(progress=Progress.of(job)), also=also)",
        "also=also)",
        "tests/adapters/test_ledger.py::test_a_batch_that_became_the_last_one_meanwhile_is_not_recorded",
    ),
    Mutant(
        "An output that is there is kept",
        f"{_CORE}/adapters/s3.py",
        'return {"IfNoneMatch": "*"} if self.once else {}',
        "return {}",
        "tests/adapters/test_objects.py::test_put_once_keeps_what_is_there",
    ),
    Mutant(
        "The manifest is written once",
        _FINISH,
        "manifest(finished, batches, files, now), once=True)",
        "manifest(finished, batches, files, now))",
        "tests/stages/test_resumed.py::test_two_runs_of_finish_at_once_give_one_file",
    ),
    Mutant(
        "The manifest comes last",
        _FINISH,
        "        if done < total:\n",
        "        self._write_manifest(job, batches, files)\n        if done < total:\n",
        "tests/stages/test_resumed.py::test_files_then_manifest_then_the_end_then_the_removal_of_pieces",
    ),
    Mutant(
        "A job ends when its manifest is there, and not before",
        _FINISH,
        "        self._write_manifest(job, batches, files)\n        self._conclude(job, batches)\n",
        "        self._conclude(job, batches)\n        self._write_manifest(job, batches, files)\n",
        "tests/stages/test_resumed.py::test_files_then_manifest_then_the_end_then_the_removal_of_pieces",
    ),
    Mutant(
        "Parts are removed only once the stored state of the job is final",
        _FINISH,
        "        self._end(job, self._note(job), self._taught(job, batches))\n        self._tidy(job)\n",
        "        note = self._note(job)\n        self._tidy(job)\n        self._end(job, note, self._taught(job, batches))\n",
        "tests/stages/test_resumed.py::test_files_then_manifest_then_the_end_then_the_removal_of_pieces",
    ),
    Mutant(
        "A job that changes while it is finished is ended all the same",
        _FINISH,
        "                job = current\n",
        "                return\n",
        "tests/stages/test_finish.py::test_a_command_while_a_job_is_finished_does_not_keep_it",
    ),
    Mutant(
        "A job whose pieces were deleted ends, and tells which rows are lost",
        _FINISH,
        "            elif self._count_losses(job, batches):\n",
        "            elif False:\n",
        "tests/stages/test_finish.py::test_rows_of_deleted_pieces_are_told_as_lost",
    ),
    # No counter is forgotten: each is what the records say.
    Mutant(
        "An admission takes room in the queue",
        _TRANSITIONS,
        "counters=Counters(queued=batch.requests, batches_waiting=-int(batch.waiting), used=reserve.amount),",
        "counters=Counters(batches_waiting=-int(batch.waiting), used=reserve.amount),",
        _COUNTERS,
    ),
    Mutant(
        "A batch that is admitted waits no more",
        _TRANSITIONS,
        "counters=Counters(queued=batch.requests, batches_waiting=-int(batch.waiting), used=reserve.amount),",
        "counters=Counters(queued=batch.requests, used=reserve.amount),",
        _COUNTERS,
    ),
    Mutant(
        "A batch that is put back gives its room back, and waits",
        _TRANSITIONS,
        "        counters=Counters(queued=-batch.requests, batches_waiting=1, used=-batch.reserved),\n",
        "        counters=Counters(used=-batch.reserved),\n",
        _COUNTERS,
    ),
    Mutant(
        "A refused batch gives its room back, and waits",
        _TRANSITIONS,
        "    counters = Counters(queued=-batch.requests, batches_waiting=1, used=-batch.reserved)\n",
        "    counters = Counters(used=-batch.reserved)\n",
        _COUNTERS,
    ),
    Mutant(
        "A released batch gives its room back, waits, and is counted",
        _TRANSITIONS,
        "    counters = Counters(queued=-batch.requests, batches_waiting=1, releases=1, used=-batch.reserved)\n",
        "    counters = Counters(used=-batch.reserved)\n",
        _COUNTERS,
    ),
    Mutant(
        "Both pieces of a batch that was cut wait, and it has given its room back",
        _TRANSITIONS,
        ("counters=Counters(queued=-batch.requests, batches_total=1, batches_waiting=2, splits=1, used=-batch.reserved),"),
        "counters=Counters(used=-batch.reserved),",
        _COUNTERS,
    ),
    Mutant(
        "A batch that ends unsent is counted, and gives its room back",
        _TRANSITIONS,
        (
            "            batches_ended=1,\n"
            "            batches_waiting=-int(batch.waiting),\n"
            "            queued=-batch.requests if took_capacity else 0,\n"
        ),
        "",
        _COUNTERS,
    ),
    Mutant(
        "A batch that ends at the API is counted, and gives its room back",
        _TRANSITIONS,
        "        counters=Counters(batches_ended=1, queued=-batch.requests),\n",
        "",
        _COUNTERS,
    ),
    Mutant(
        "A batch that is given back takes its room again",
        _TRANSITIONS,
        "batches_ended=-was_ended, queued=batch.requests * was_ended, batches_incomplete=",
        "batches_incomplete=",
        _COUNTERS,
    ),
    Mutant(
        "A batch that waits for answers is counted once",
        _TRANSITIONS,
        "counters=Counters(batches_incomplete=1 - _incomplete(batch))",
        "counters=Counters(batches_incomplete=1)",
        _COUNTERS,
    ),
    Mutant(
        "A collected batch is counted with its rows",
        _TRANSITIONS,
        "counters = replace(move.counters, rows=replace(rows.counts, total=0))",
        "counters = move.counters",
        _COUNTERS,
    ),
    Mutant(
        "A follow-up batch is counted",
        _TRANSITIONS,
        "counters=replace(counters, batches_total=1, batches_waiting=1),",
        "counters=counters,",
        _COUNTERS,
    ),
    Mutant(
        "A batch that is cut from a file is counted with its rows",
        _TRANSITIONS,
        (
            "            rows=Counts() if batch.tries else Counts(total=batch.requests + batch.invalid),\n"
            "            batches_total=1,\n"
        ),
        "",
        _COUNTERS,
    ),
    # Every job ends.
    Mutant(
        "A message that was lost is sent again",
        f"{_CORE}/stages/poll/repair.py",
        "return since is None or now >= since + wait",
        "return False",
        "tests/stages/test_repair.py::test_a_lost_message_is_sent_again",
    ),
    Mutant(
        "poll waits for the pause of a message that failed",
        f"{_CORE}/domain/redelivery.py",
        "pause_after(errors) if errors else 0",
        "0",
        "tests/unit/test_redelivery.py::test_nobody_speaks_for_sqs_before_it_has_had_its_time",
    ),
    Mutant(
        "A handled error is counted in the record of its step",
        f"{_CORE}/jobs/deliver.py",
        "self._returned(record, record.errors + 1)",
        "pass",
        "tests/stages/test_deliveries.py::test_six_hours_of_errors_need_nobody",
    ),
    Mutant(
        "What fails comes back within seconds",
        f"{_CORE}/jobs/deliver.py",
        "self._put_off(delivery, pause_after(delivery.receives))",
        "pass",
        "tests/stages/test_deliveries.py::test_one_error_costs_less_than_a_minute_and_no_alarm",
    ),
    Mutant(
        "A planner that fails gives its lease back",
        _PLAN,
        "self._give_back(leased)",
        "pass",
        "tests/stages/test_deliveries.py::test_one_error_costs_less_than_a_minute_and_no_alarm",
    ),
    Mutant(
        "A message for a job that is at work is kept",
        _PLAN,
        'raise Leased(f"another invocation is planning job {job.id}", until=job.lease_until)',
        "return None",
        "tests/stages/test_deliveries.py::test_a_message_for_a_job_that_is_at_work_waits_for_its_lease",
    ),
    Mutant(
        "A cancel ends the unpacking of a file",
        _PLAN,
        "if job is None or job.cancel_requested:",
        "if job is None:",
        "tests/stages/test_deliveries.py::test_a_cancel_ends_the_unpacking_of_a_file_that_takes_long",
    ),
    Mutant(
        "A message that is under way is not sent again",
        f"{_CORE}/stages/poll/repair.py",
        "return since is None or now >= since + wait",
        "return True",
        "tests/stages/test_repair.py::test_patience_doubles_and_is_counted",
    ),
    Mutant(
        "A long file is read on from its checkpoint",
        _CUT,
        "if job.checkpoint is not None:",
        "if False:",
        "tests/stages/test_long_files.py::test_a_line_is_read_by_one_invocation_only",
    ),
    Mutant(
        "Blank lines come to an end",
        _CUT,
        ("                reached = Checkpoint(offset=end, line=chunk[-1].number + 1, repeated=repeated, pilot=draw.drawn)\n"),
        (
            "                if any(line.data for line in chunk):\n"
            "                    following = chunk[-1].number + 1\n"
            "                    reached = Checkpoint(offset=end, line=following, repeated=repeated, pilot=draw.drawn)\n"
        ),
        "tests/stages/test_long_files.py::test_blank_lines_without_end_come_to_an_end",
    ),
    Mutant(
        "A file that takes long to unpack is unpacked by several invocations",
        f"{_CORE}/stages/plan/prepare.py",
        "                if not go_on():\n",
        "                if False:\n",
        "tests/stages/test_resumed.py::test_it_takes_several_invocations_and_each_part_is_stored_once",
    ),
    Mutant(
        "Output files that take long are joined by several invocations",
        f"{_CORE}/adapters/s3.py",
        "(self._make(upload, number, part, sources) if go_on() else None)",
        "self._make(upload, number, part, sources)",
        "tests/adapters/test_objects.py::test_a_join_goes_on_where_it_stopped",
    ),
    Mutant(
        "A long retry takes several invocations",
        f"{_CORE}/stages/control/retry.py",
        "                if not go_on():\n",
        "                if False:\n",
        "tests/stages/test_resumed.py::test_a_long_retry_takes_several_invocations",
    ),
    Mutant(
        "One step of a tick stops no other, whatever it raises",
        f"{_CORE}/stages/poll/tick.py",
        "except Exception as error:  # whatever it is: the other steps serve everybody",
        "except (ApiError, LostRace) as error:",
        "tests/stages/test_repair.py::test_an_error_that_nobody_thought_of_stops_no_other_step",
    ),
    Mutant(
        "What goes wrong with one batch stops no other",
        f"{_CORE}/stages/poll/apart.py",
        "except ApiError:",
        "except Exception:",
        "tests/stages/test_repair.py::test_what_goes_wrong_with_one_batch_stops_no_other",
    ),
    Mutant(
        "A page where results should be is no answer, and stops nobody",
        _SETTLE,
        "except (ApiError, Incomplete, ValueError):",
        "except (ApiError, Incomplete):",
        "tests/stages/test_reconcile.py::test_a_page_where_results_should_be_stops_nobody",
    ),
    Mutant(
        "A tick reads a bounded number of first results",
        _SETTLE,
        "\n_READS = 20\n",
        "\n_READS = 10_000\n",
        "tests/stages/test_identity.py::test_strangers_are_told_apart_a_few_a_tick",
    ),
    Mutant(
        "A tick reads first results for a bounded time",
        _SETTLE,
        "if self.clock.now() >= started + _READING:",
        "if False:",
        "tests/stages/test_identity.py::test_reading_stops_when_the_api_is_slow",
    ),
    Mutant(
        "Paging ends where the oldest watched batch can be",
        _WATCH,
        "any(_may_follow(watched[api_id], oldest) for api_id in open_ids)",
        "bool(open_ids)",
        "tests/stages/test_reconcile.py::test_a_batch_that_the_list_does_not_show_does_not_cost_the_whole_list",
    ),
    Mutant(
        "A job that cannot go on keeps no other job from the API",
        f"{_CORE}/domain/open_work.py",
        "shelf = waiting_in(batch.job_id) if batch.waiting else OpenWork.waiting",
        "shelf = OpenWork.waiting",
        "tests/stages/test_admission.py::test_a_job_that_nobody_can_finish_planning_does_not_keep_others_from_the_api",
    ),
    Mutant(
        "A file that S3 does not hand out is rejected with a sentence",
        f"{_CORE}/adapters/s3.py",
        "_REFUSED_STATUS = frozenset({400, 403})",
        "_REFUSED_STATUS = frozenset({405})",
        "tests/adapters/test_broken_reads.py::test_a_reopening_that_is_refused",
    ),
    Mutant(
        "Planning that fails again and again is rejected",
        _PLAN,
        "if given_up(job.tries, job.errors):",
        "if False:",
        "tests/stages/test_unreadable.py::test_planning_that_always_fails_is_rejected_after_a_number_of_tries",
    ),
    Mutant(
        "A cancel ends a job that nobody can plan",
        f"{_CORE}/jobs/cancel.py",
        "return job.cancel_requested and job.tries >= _PLANNERS",
        "return False",
        "tests/stages/test_cancel_ends.py::test_planning_of_a_file_that_kills_whoever_reads_it",
    ),
    Mutant(
        "No rule removes what an open job has in work/",
        "template.yaml",
        "            Prefix: work/\n            ExpiredObjectDeleteMarker: true\n",
        "            Prefix: work/\n            ExpirationInDays: 35\n",
        "tests/template/test_stack.py::test_only_commands_expire_by_age",
    ),
    Mutant(
        "A job that does not end rings an alarm",
        f"{_CORE}/stages/poll/tick.py",
        "            self._measure,\n",
        "",
        "tests/stages/test_repair.py::test_a_job_that_does_not_end_shows_in_the_metric",
    ),
    Mutant(
        "Results that are not collected ring an alarm long before they are deleted",
        f"{_CORE}/stages/poll/tick.py",
        'self.metrics.count("UncollectedAgeHours", self._hours_since(batch.created_at for batch in ended))',
        "pass",
        "tests/stages/test_repair.py::test_a_batch_that_cannot_be_collected_shows_in_the_metric_long_before_day_29",
    ),
    Mutant(
        "The sweep leaves the folder of an open job alone",
        f"{_CORE}/stages/poll/sweep.py",
        "if job is None or job.state not in TERMINAL_JOB_STATES:",
        "if job is None:",
        "tests/stages/test_work_folder.py::test_the_folder_of_a_job_that_waits_stays_for_months",
    ),
    Mutant(
        "What a killed invocation has left on the disk is removed",
        f"{_CORE}/jobs/scratch.py",
        "    _remove_leftovers()\n    folder",
        "    folder",
        "tests/unit/test_scratch.py::test_what_a_killed_process_left_is_removed",
    ),
    Mutant(
        "An absurd max_tokens makes no batch of its row",
        f"{_CORE}/stages/plan/cutter.py",
        "min(row.max_tokens, MAX_ANSWER_TOKENS)",
        "row.max_tokens",
        "tests/unit/test_cutter.py::test_an_absurd_max_tokens_does_not_make_a_batch_of_each_row",
    ),
    # Hostile input, commands and strangers harm nobody else.
    Mutant(
        "A message quotes little of what somebody wrote",
        f"{_CORE}/formats/invalid_line.py",
        "return text if len(text) <= _SHOWN_CHARS else",
        "return text if text else",
        "tests/unit/test_message_lengths.py::test_nor_does_that_of_a_repeated_custom_id",
    ),
    Mutant(
        "A list of invalid rows that cannot be read ends its rows, not the queue of the stack",
        f"{_CORE}/jobs/batch_rows.py",
        "except (ObjectGone, msgspec.DecodeError, UnicodeDecodeError) as error:",
        "except ObjectGone as error:",
        "tests/stages/test_bad_input.py::test_a_list_of_invalid_rows_that_cannot_be_read_ends_its_job",
    ),
    Mutant(
        "What no request has is counted before it is decoded",
        f"{_CORE}/formats/input_line.py",
        "_MOST_MESSAGES = 100_000",
        "_MOST_MESSAGES = 100_000_000",
        "tests/unit/test_input_line.py::test_what_would_fill_the_memory_is_counted_before_it_is_decoded",
    ),
    Mutant(
        "Only betas that the operator allows are sent",
        f"{_CORE}/domain/call_headers.py",
        "if beta not in self.betas), None)",
        "if not beta), None)",
        "tests/stages/test_call_headers_of_jobs.py::test_what_the_operator_does_not_allow_rejects_the_job",
    ),
    Mutant(
        "Every create call of a job has its headers",
        _POST,
        "self.claude.create(body.path, headers_of(job), within",
        "self.claude.create(body.path, within",
        "tests/stages/test_call_headers_of_jobs.py::test_every_batch_and_every_later_attempt_has_the_headers",
    ),
    Mutant(
        "A retry keeps the headers of its job",
        f"{_CORE}/stages/control/retry.py",
        "return {**headers_of(job).as_sent(), PRIORITY: word}",
        "return {PRIORITY: word}",
        "tests/stages/test_call_headers_of_jobs.py::test_a_retried_file_asks_for_the_same",
    ),
    Mutant(
        "A row with a retired model is not sent",
        f"{_CORE}/stages/plan/check.py",
        "        if fault is None:\n            return row\n        return InvalidLine",
        "        if True:\n            return row\n        return InvalidLine",
        "tests/stages/test_models_of_rows.py::test_the_models_of_the_course",
    ),
    Mutant(
        "The list of models is asked for once an hour at most",
        f"{_CORE}/stages/poll/fetch_models.py",
        "self.ledger.put_models(replace(stored, tried_at=now))",
        "pass",
        "tests/stages/test_fetch_models.py::test_what_cannot_be_fetched_is_tried_once_an_hour_and_the_old_list_stays",
    ),
    Mutant(
        "No text of a command's key is put where others read it",
        f"{_CORE}/stages/control/commands.py",
        "answers.get(command.name)",
        "answers.get(command.name, lambda job: command.name)",
        "tests/stages/test_control.py::test_an_unknown_command_puts_no_text_into_a_status",
    ),
    # Rows in, columns out.
    Mutant(
        "An answer that cannot be used does not count as succeeded",
        _ROW_LINES,
        "        if read.output is None:\n",
        "        if read.output is None and not read.text:\n",
        "tests/stages/test_row_ends.py::test_an_unusable_answer_is_told_kept_and_not_asked_for_again",
    ),
    Mutant(
        "A paid answer that cannot be used is kept",
        _ROW_LINES,
        "result=unusable.result if unusable else None,",
        "result=None,",
        "tests/stages/test_row_ends.py::test_an_unusable_answer_is_told_kept_and_not_asked_for_again",
    ),
    Mutant(
        "An unusable answer goes again only if the recipe says so",
        _ROUTE,
        "if self._may_retry and answer.error_type in self._again:",
        "if self._may_retry:",
        "tests/stages/test_row_ends.py::test_an_unusable_answer_is_told_kept_and_not_asked_for_again",
    ),
    Mutant(
        "A recipe says how often a row is sent",
        _COLLECT,
        "form.attempts is None or batch.attempt < form.attempts",
        "form.attempts is None or batch.attempt <= form.attempts",
        "tests/stages/test_row_ends.py::test_a_recipe_says_how_often_a_row_is_sent",
    ),
    Mutant(
        "Only the last attempt of a range writes its piece of the tables",
        f"{_CORE}/stages/finish/table_pieces.py",
        "rows = [one.table for one in last if one.table]",
        "rows = [one.table for one in last[:1] if one.table] * len(last)",
        "tests/stages/test_row_ends.py::test_a_canceled_job_has_every_row_in_its_table",
    ),
    Mutant(
        "The rows of a table stand in their order, whatever became of them",
        _TABLES,
        "while following is not None and following.line < row.line:",
        "while following is not None and not following.line:",
        "tests/stages/test_row_ends.py::test_answers_of_several_attempts_stand_in_row_order",
    ),
    Mutant(
        "A cell cannot become a formula",
        _TABLES,
        "raw=self._raw)",
        "raw=True)",
        "tests/stages/test_row_files.py::test_formulas_are_defused_in_own_cells_and_in_answers_and_numbers_are_not",
    ),
    Mutant(
        "A job keeps the version of the recipe that it has pinned",
        f"{_CORE}/stages/plan/open_rows.py",
        "with self.objects.read(ref) as stream:\n                # One more",
        "with self.objects.read(self.objects.head(ref.key).ref) as stream:\n                # One more",
        "tests/stages/test_row_ends.py::test_the_pinned_version_is_read_if_a_newer_one_comes_while_the_job_is_planned",
    ),
    Mutant(
        "A row that is dropped again takes no recipe of another team",
        f"{_CORE}/stages/plan/find_recipe.py",
        "earlier.recipe is None or keys.team_of(earlier.input.key) != keys.team_of(job.input.key)",
        "earlier.recipe is None",
        "tests/stages/test_row_ends.py::test_no_other_team_takes_it",
    ),
    Mutant(
        "A row that is dropped again is one, whatever its columns are called",
        f"{_CORE}/stages/plan/kinds.py",
        """if NOTE in fields and b'"job"' in bytes(fields[NOTE]):""",
        """if list(fields) == [NOTE] and b'"job"' in bytes(fields[NOTE]):""",
        "tests/stages/test_row_ends.py::test_a_retry_command_asks_for_the_rows_again_with_the_recipe",
    ),
    Mutant(
        "What a killed invocation has rendered is not stored again",
        f"{_CORE}/stages/plan/render.py",
        "Behind(out, start.written)",
        "Behind(out, out.stored)",
        "tests/stages/test_row_trouble.py::test_a_kill_at_any_call_changes_no_byte",
    ),
    Mutant(
        "A job that has lost its tables says so",
        f"{_CORE}/stages/finish/outputs.py",
        'return sentences.NO_TABLES if lacks_tables(job, written.files) else ""',
        'return ""',
        "tests/stages/test_row_trouble.py::test_a_job_ends_whatever_is_deleted",
    ),
    Mutant(
        "The audit notices a row that a table lacks",
        "cli/batchdrop_cli/audit/table_rows.py",
        "if cells is None:",
        "if cells is None and not end:",
        "tests/cli/test_audit_of_tables.py::test_it_speaks_of_a_table_that_was_tampered_with",
    ),
    Mutant(
        "An answer that was paid for is delivered, although it holds half of a surrogate pair",
        f"{_CORE}/formats/api_result.py",
        "if (found := _if_readable(_by_brackets, line)) is not None:",
        "if (found := None) is not None:",
        "tests/stages/test_odd_results.py::test_half_a_surrogate_pair_is_delivered_as_it_came",
    ),
    Mutant(
        "A failed row can be dropped again, whatever the API's answer to it held",
        f"{_CORE}/formats/failed_line.py",
        "msgspec.Raw(result) if _is_sound(result) else",
        "msgspec.Raw(result) if result else",
        "tests/stages/test_odd_results.py::test_a_row_whose_answer_has_half_a_surrogate_pair_can_be_dropped_again",
    ),
    Mutant(
        "An attempt is collected although the pieces of an earlier one were deleted",
        f"{_CORE}/stages/collect/earlier.py",
        "results, failed = _is_gone(objects, last.results), _is_gone(objects, last.failed)",
        "results, failed = False, False",
        "tests/stages/test_odd_results.py::test_pieces_that_were_deleted_before_the_next_attempt_was_collected_are_told_as_lost",
    ),
    Mutant(
        "A row that is lost counts as lost once",
        _TRANSITIONS,
        "for status in lost) - (batch.rows_lost if failed else 0)",
        "for status in lost)",
        "tests/stages/test_odd_results.py::test_rows_that_are_lost_twice_count_once",
    ),
    # Money: nobody spends what is not reserved, and what is reserved is settled or given back.
    Mutant(
        "A batch reserves, and what it reserves counts against its job",
        _TRANSITIONS,
        "batches_waiting=-int(batch.waiting), used=reserve.amount)",
        "batches_waiting=-int(batch.waiting))",
        "tests/adapters/test_ledger.py::test_a_job_never_uses_more_than_it_may",
    ),
    Mutant(
        "No purse is used beyond its limit, whatever others have written meanwhile",
        _TRANSACTION,
        "        if charge.limit is not None:\n",
        "        if False:\n",
        "tests/adapters/test_transactions.py::test_on_a_crowded_table_no_amount_is_lost_and_none_is_counted_twice",
    ),
    Mutant(
        "A job never uses more than somebody has approved, whatever of it is admitted at once",
        _TRANSACTION,
        "            if guard.may_use is not None:\n",
        "            if False:\n",
        "tests/adapters/test_ledger.py::test_a_job_never_uses_more_than_it_may",
    ),
    Mutant(
        "A batch that meets a limit is held, not tried again and again",
        _BUDGET,
        "    if limit is None or purse.used + amount <= limit:\n",
        "    if limit is None or purse.used <= limit:\n",
        "tests/stages/test_limits.py::test_nothing_is_admitted_beyond_a_day_and_the_rest_goes_on_the_next",
    ),
    Mutant(
        "What nobody can estimate meets a limit that is used up",
        _BUDGET,
        "amount = max(1, most_of",
        "amount = max(0, most_of",
        "tests/stages/test_limits.py::test_a_batch_without_sizes_meets_a_limit_that_is_used_up",
    ),
    Mutant(
        "A strict job reserves the worst",
        _BUDGET,
        "expected.worst if strict or job.learned is None else expected.high",
        "expected.worst if job.learned is None else expected.high",
        "tests/stages/test_reserves.py::test_after_a_pilot_a_strict_job_reserves_the_worst_and_another_one_what_it_has_learned",
    ),
    Mutant(
        "A limit counts the folders below it",
        f"{_CORE}/money/limit_file.py",
        "for depth in range(len(parts), 0, -1)]",
        "for depth in range(len(parts), len(parts) - 1, -1)]",
        "tests/stages/test_limits.py::test_nothing_is_admitted_beyond_a_day_and_the_rest_goes_on_the_next",
    ),
    Mutant(
        "A raise lifts limits by the amount that was shown",
        _TRANSITIONS,
        "raised_to=job.used + raised.amount",
        "raised_to=job.used + 2 * raised.amount",
        "tests/stages/test_limits.py::test_a_raise_lifts_it_for_one_job_by_the_amount_that_was_shown",
    ),
    Mutant(
        "What fits into no day does not go on by itself",
        _BUDGET,
        "scope if amount <= limit else scope._replace(renews_at=None)",
        "scope",
        "tests/stages/test_limits.py::test_a_batch_that_fits_into_no_day_says_so",
    ),
    Mutant(
        "A fault in the file of limits lifts none",
        _BUDGET,
        'return sentences.config_fault(fault) if fault else ""',
        'return ""',
        "tests/stages/test_limits.py::test_a_fault_in_the_limits_lifts_none",
    ),
    Mutant(
        "What has no price any more is not sent",
        _BUDGET,
        "if models := unpriced((batch.sizes,), self.prices.current(now).value, now):",
        "if models := ():",
        "tests/stages/test_questions.py::test_a_price_that_is_gone_while_a_job_runs_is_waited_for",
    ),
    Mutant(
        "A yes to the pilot is none to the others",
        _TRANSITIONS,
        "        after = replace(after, may_use=0)\n",
        "        pass\n",
        "tests/stages/test_pilot.py::test_a_yes_to_the_pilot_is_none_to_the_others",
    ),
    Mutant(
        "Who finishes twice teaches once",
        _TRANSITIONS,
        "    return Move(job, after, also=() if taught is None else (taught,))\n",
        "    return Move(job, after)\n",
        "tests/stages/test_groups.py::test_who_finishes_twice_teaches_once",
    ),
    Mutant(
        "If the first tells nothing, the next one is tried",
        _PAUSED,
        "if job.spare is not None and _rows_learned(job) < FEWEST_TRIED:",
        "if False:",
        "tests/stages/test_groups.py::test_the_next_one_is_tried_if_the_first_tells_nothing",
    ),
    Mutant(
        "What was approved pays for every part of a batch that is cut",
        f"{_CORE}/domain/records.py",
        "return used + self.high + self.rows",
        "return used + self.high",
        "tests/stages/test_questions.py::test_what_was_approved_pays_for_the_halves_of_a_batch",
    ),
    Mutant(
        "What fits into what was approved by now goes on",
        _PAUSED,
        "return question.high <= (job.may_use or 0) - job.used or ",
        "return ",
        "tests/stages/test_questions.py::test_what_is_within_what_was_approved_after_all_goes_on",
    ),
    Mutant(
        "A raise is used once",
        _BUDGET,
        "raised = job.used + amount <= job.raised_to",
        "raised = job.raised_to > 0",
        "tests/stages/test_limits.py::test_a_raise_is_used_once_and_not_on_each_later_day",
    ),
    Mutant(
        "A job's own approval does not cover what it costs beyond",
        f"{_CORE}/jobs/pause.py",
        "if job.may_use or not self._may_be_covered(job, group, now):",
        "if not self._may_be_covered(job, group, now):",
        "tests/stages/test_groups.py::test_what_a_job_costs_beyond_its_own_approval_is_asked_about",
    ),
    Mutant(
        "What a job asks anew is by what its rows took",
        f"{_CORE}/jobs/pause.py",
        "learned = _learned_so_far(job, batches)",
        "learned: Learned | None = None",
        "tests/stages/test_questions.py::test_what_costs_more_than_was_approved_asks_again",
    ),
    Mutant(
        "What was admitted before its job was held is sent",
        _POST,
        "job.state in (JobState.running, JobState.held) and",
        "job.state is JobState.running and",
        "tests/stages/test_limits.py::test_nothing_is_admitted_beyond_a_day_and_the_rest_goes_on_the_next",
    ),
    Mutant(
        "Who is held says so",
        f"{_CORE}/jobs/pause.py",
        "            self.publish(job.id)\n",
        "            pass\n",
        "tests/stages/test_limits.py::test_those_that_wait_go_on_in_their_order_and_through_the_limits_again",
    ),
    Mutant(
        "None that waits for one limit hides another that waits for another",
        _PAUSED,
        "        yield from others\n",
        "        return\n",
        "tests/stages/test_limits.py::test_none_that_waits_hides_another",
    ),
    Mutant(
        "Who asks and dies has asked all the same",
        _PAUSED,
        "        self._tell(asking, now, troubles)\n",
        "        pass\n",
        "tests/stages/test_questions.py::test_who_asks_and_dies_has_asked_all_the_same",
    ),
    Mutant(
        "Other prices are another question",
        _PAUSED,
        "job.question.prices != prices",
        "False",
        "tests/stages/test_questions.py::test_prices_that_change_while_it_waits_ask_anew",
    ),
    Mutant(
        "Nobody's silence spends anything, and after seven days it is an answer",
        _PAUSED,
        "now >= job.held_at + ANSWER_AWAITED",
        "now >= job.held_at + 2 * ANSWER_AWAITED",
        "tests/stages/test_questions.py::test_after_seven_days_without_an_answer_it_ends",
    ),
    Mutant(
        "A yes answers the question of its code alone",
        _COMMANDS,
        (
            "            question = self._question(job, APPROVAL)\n"
            "            if question is None:\n"
            "                return sentences.nothing_to_approve(job)\n"
            "            if question.code != code:\n"
        ),
        (
            "            question = self._question(job, APPROVAL)\n"
            "            if question is None:\n"
            "                return sentences.nothing_to_approve(job)\n"
            "            if False:\n"
        ),
        "tests/stages/test_questions.py::test_a_yes_without_its_code_counts_for_nothing",
    ),
    Mutant(
        "A limit is raised by the code of its question alone",
        _COMMANDS,
        "                return sentences.NOTHING_TO_RAISE\n            if question.code != code:\n",
        "                return sentences.NOTHING_TO_RAISE\n            if False:\n",
        "tests/stages/test_limits.py::test_a_code_of_another_question_raises_nothing",
    ),
    Mutant(
        "A command that is delivered again answers no later question",
        _COMMANDS,
        "return any(yes.code == code for yes in job.approvals)",
        "return False",
        "tests/stages/test_questions.py::test_a_yes_twice_is_one_and_says_nothing_more",
    ),
    Mutant(
        "After a yes, the same rows at the same price are another question",
        f"{_CORE}/jobs/pause.py",
        "high, job.used, len(job.approvals))",
        "high, job.used)",
        "tests/stages/test_limits.py::test_one_raise_that_is_delivered_again_and_again_raises_once",
    ),
    Mutant(
        "A yes covers the amount that was shown, and no more",
        _COMMANDS,
        "may_use = question.may_use(job.used)",
        "may_use = question.may_use(job.used + question.high)",
        "tests/stages/test_questions.py::test_a_yes",
    ),
    Mutant(
        "A refused batch gives back what it has reserved",
        _TRANSITIONS,
        (
            "    return Move(batch, after, counters=counters, charges=_given_back(batch))\n"
            "\n"
            "\n"
            "@_batch_edge(BatchState.submitting, to=(BatchState.ready,))\n"
            "def released"
        ),
        (
            "    return Move(batch, after, counters=counters)\n"
            "\n"
            "\n"
            "@_batch_edge(BatchState.submitting, to=(BatchState.ready,))\n"
            "def released"
        ),
        "tests/stages/test_reserves.py::test_a_refused_batch",
    ),
    Mutant(
        "A batch without a trace gives back what it has reserved",
        _TRANSITIONS,
        "    return Move(batch, after, counters=counters, charges=_given_back(batch))\n\n\nclass Half",
        "    return Move(batch, after, counters=counters)\n\n\nclass Half",
        "tests/stages/test_reserves.py::test_a_batch_that_left_no_trace",
    ),
    Mutant(
        "A batch that is cut in two gives back what it has reserved",
        _TRANSITIONS,
        "        charges=_given_back(batch),\n        also=(Move(None, rest),),\n",
        "        also=(Move(None, rest),),\n",
        "tests/stages/test_reserves.py::test_a_batch_that_is_cut_in_two_reserves_in_two_what_it_reserved",
    ),
    Mutant(
        "What was never sent gives back what it has reserved",
        _TRANSITIONS,
        "        charges=charges(batch.purses, -given_back) if sent else _given_back(batch),\n",
        "",
        "tests/stages/test_reserves.py::test_a_cancel_before_it_was_sent",
    ),
    Mutant(
        "What may have been sent keeps what it has reserved",
        _TRANSITIONS,
        "given_back = 0 if sent else batch.reserved",
        "given_back = batch.reserved",
        "tests/stages/test_reserves.py::test_what_may_have_been_sent_and_is_given_up_costs_what_was_reserved",
    ),
    Mutant(
        "A batch settles in the purses of its admission, all of them",
        _TRANSITIONS,
        "charges=charges(batch.purses, spent - batch.reserved, spent),",
        "charges=charges(batch.purses[:1], spent - batch.reserved, spent),",
        "tests/stages/test_limits.py::test_a_batch_settles_in_the_purses_of_its_admission",
    ),
    Mutant(
        "Rows whose results are lost keep their share as spent",
        _ROUTE,
        "            self.unaccounted += is_missing\n",
        "",
        "tests/stages/test_reserves.py::test_results_that_were_deleted_before_anybody_read_them_cost_what_was_reserved",
    ),
    Mutant(
        "Rows without a price are never counted as nothing",
        _TRANSITIONS,
        "unknown = rows.unaccounted + sum(rows.bill.unpriced.values())",
        "unknown = rows.unaccounted",
        "tests/stages/test_reserves.py::test_a_price_that_is_gone_when_it_is_collected_costs_what_was_reserved",
    ),
    Mutant(
        "Rows that go again reserve too",
        _TRANSITIONS,
        "        sizes=rows.retry_sizes,\n",
        "",
        "tests/stages/test_reserves.py::test_rows_that_go_again_reserve_and_are_counted_once",
    ),
    Mutant(
        "What a pilot has left is sized by its own rows",
        f"{_CORE}/stages/collect/tried_rows.py",
        "holders.append(Holder(batch, tuple(rows), sizes))",
        "holders.append(Holder(batch, tuple(rows), {}))",
        "tests/stages/test_pilot.py::test_a_long_row_that_was_not_tried_counts_whole",
    ),
    Mutant(
        "A piece of a batch that is cut in two is sized by its own rows",
        f"{_CORE}/stages/submit/post.py",
        "transitions.split(batch, half, sizer.take(), refused_as)",
        "transitions.split(batch, half, {}, refused_as)",
        "tests/stages/test_reserves.py::test_a_strict_limit_holds_where_a_batch_is_cut_in_two",
    ),
    Mutant(
        "A batch that waits no more when its pilot is back keeps its rows",
        f"{_CORE}/stages/collect/tried_rows.py",
        "if rows and is_waiting(batch):",
        "if rows:",
        "tests/stages/test_pilot.py::test_batches_that_a_version_without_pilots_sends_meanwhile_keep_their_rows",
    ),
    Mutant(
        "A pilot that is back last ends its job",
        _TRANSITIONS,
        "        ended = replace(finishing(ended.after, now=now), before=job)\n",
        "        pass\n",
        "tests/stages/test_pilot.py::test_batches_that_a_version_without_pilots_sends_meanwhile_keep_their_rows",
    ),
    Mutant(
        "A strict job keeps what its pilot has settled",
        _TRANSITIONS,
        "sizes = batch.sizes if strict and requests else",
        "sizes = batch.sizes if False else",
        "tests/unit/test_transitions.py::test_what_a_pilot_has_settled_is_expected_no_more_but_of_a_strict_job",
    ),
    Mutant(
        "Answers of a pilot are delivered although its file is gone",
        f"{_CORE}/stages/collect/spool.py",
        "self.open_window(0, -1)",
        "self.open_window(1, 0)",
        "tests/stages/test_pilot.py::test_answers_of_a_pilot_are_delivered_although_its_file_is_gone",
    ),
    Mutant(
        "Who asks in one team hides nobody of another",
        _PAUSED,
        "        self.behind_groups = before_group(*last) if whole else behind_group(*last)\n",
        "",
        "tests/stages/test_groups.py::test_those_that_ask_in_one_team_hide_none_of_another",
    ),
    Mutant(
        "A tick looks at whole groups",
        _PAUSED,
        "        return whole or jobs\n",
        "        return jobs\n",
        "tests/stages/test_groups.py::test_a_group_is_whole_although_a_tick_cannot_look_at_all_that_ask",
    ),
    Mutant(
        "A yes to one job leaves in force what covers several",
        _TRANSITIONS,
        "    if covers:\n",
        "    if True:\n",
        "tests/stages/test_groups.py::test_a_yes_to_one_leaves_those_covered_that_an_interrupted_yes_to_all_has_not_let_go",
    ),
    Mutant(
        "Of a faulty file of the operators a job shows the line and none of its words",
        f"{_CORE}/jobs/config_files.py",
        "sentences.faulty_config(fault.name, fault.line)",
        "str(fault)",
        "tests/stages/test_questions.py::test_of_a_faulty_file_a_job_shows_the_line_and_none_of_its_words",
    ),
)
