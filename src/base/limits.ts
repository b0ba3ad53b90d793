/**
 * Every limit of the system, in one place. Each queue, table, frame and retry has one, and a defined refusal.
 */

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

// ── Objects ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Values of at most this many encoded bytes stay with their owner; larger ones are sealed in a store. */
export const MAX_INLINE_BYTES = 102_400;
/** A task whose inline arguments exceed this is not carried by its lease request; its owner pushes it. */
export const MAX_LEASE_ARGUMENT_BYTES = KIB;
export const MAX_RETURNS = 10_000;
export const MAX_ARGUMENTS = 65_535;
/** Small arguments, or results, of one task travel with it up to this sum; the others become objects of the store. */
export const MAX_INLINE_SUM_BYTES = 16 * MIB;
/** An error that a task threw and that is larger, with all its properties, arrives as its words alone. */
export const MAX_ERROR_BYTES = 16 * MIB;
/** Object table rows of one cluster. Beyond it, registration is refused with `ObjectStoreFullError`. */
export const MAX_OBJECTS = 10_000_000;
export const MAX_WAITERS_PER_OBJECT = 10_000;
/** An object that is held and that nobody has said he will make: so long its owner's word is waited for. */
export const DECLARATION_WAIT_MS = 2_000;
/**
 * Processes that are asked for the holds they have not sent yet may be in synchronous code: so long those who wait for an
 * object of a dead owner, or for one that is lost and whose task is not known yet, wait for them, too. What they may still
 * hold is not freed before they have answered.
 */
export const HOLD_FLUSH_PATIENCE_MS = 2_000;
/** Objects that one raylet is bringing to its node, or waits for. */
export const MAX_PULLS = 1_000_000;
/** Replicas of which a raylet remembers that they gave way to something else. */
export const MAX_REMEMBERED_EVICTIONS = 65_536;
export const MAX_CONTAINED_REFS = 1_000_000;
/** Holds in one message: more go in several. */
export const MAX_HOLDS_PER_MESSAGE = 100_000;
/** How often a raylet asks another replica before it gives the copy up, or rests where the copy may be sound. */
export const MAX_FETCH_ATTEMPTS = 5;
/** So long a raylet tries to reach a copy of which it knows nothing bad. Nodes that are dead are known to be much sooner. */
export const FETCH_PATIENCE_MS = 60_000;
/** Objects that one raylet fetches at the same time; each counts those alone that are as urgent (`get`, `wait`, arguments) or more. */
export const MAX_CONCURRENT_FETCHES = 8;
/** Their bytes together, counted the same way, unless one object alone has more. */
export const MAX_FETCHING_BYTES = GIB;
/** Specs of tasks that the GCS keeps to make lost objects again; beyond it the oldest go. */
export const MAX_LINEAGE_BYTES = GIB;
/** Forgotten specs whose names the GCS keeps, to say why an object cannot be made again. */
export const MAX_EVICTED_LINEAGE = 100_000;
/** An inline argument above this becomes an object when its task's spec is kept: the control plane has no object bytes. */
export const MAX_LINEAGE_ARGUMENT_BYTES = KIB;
/** All inline arguments of a spec together; the largest become objects until the rest fit. */
export const MAX_LINEAGE_INLINE_BYTES = 64 * KIB;
/** A task with more arguments that must become objects is not made again. */
export const MAX_PROMOTED_ARGUMENTS = 64;
/** Blocks are multiples of it; the pages of some machines are larger. */
export const STORE_PAGE_BYTES = 4 * KIB;
/** Space of the arena's file is reserved in pieces of this size, before blocks in it are handed out. */
export const ARENA_RESERVE_BYTES = 16 * MIB;
/** A raylet reserves no more than this at once, if there is plenty: it does nothing else meanwhile. The rest is promised. */
export const MAX_RESERVE_BYTES = 32 * MIB;
/** Without the addon it is taken by writing zeros, for no more than this at once: the raylet does nothing else meanwhile. */
export const MAX_FILL_BYTES = GIB;
/** A process notes in pieces of this size which of the arena's pages it has touched: the largest page that a machine has. */
export const ARENA_GRANULE_BYTES = 64 * KIB;
/** Copy-on-write mappings of one process, of which the kernel allows 65,530 of all kinds. Beyond it values are copied. */
export const MAX_LIVE_MAPS = 16 * KIB;
/**
 * A writer's first extent of the arena; each further one is twice as large, up to the second limit, or as large as the
 * one object that it is for.
 */
export const FIRST_EXTENT_BYTES = 4 * MIB;
export const MAX_EXTENT_BYTES = 64 * MIB;
/** No extent beyond what is needed at once takes more than this part of the store. */
export const MAX_EXTENT_SHARE = 1 / 16;
/** With less than this part of the store free, an extent is no larger than what is needed at once. */
export const MIN_FREE_SHARE = 1 / 2;
/** What a writer has not used for this long goes back to its raylet. */
export const EXTENT_IDLE_MS = 500;
/** How long a writer waits in synchronous code for an answer that its raylet gives at once. */
export const EXTENT_ANSWER_MS = 15_000;
/** With less room in shared memory than for such a store, its arena is a file on disk by default. */
export const MIN_SHARED_STORE_BYTES = 64 * MIB;
/** Node fires timers with a longer delay at once: 24.8 days. */
export const MAX_TIMER_MS = 2 ** 31 - 1;
/** How long a `get` or `wait` whose time is over waits for the store's word on objects that may lie there. */
export const STORE_ANSWER_MS = 100;
/** Bytes that a process puts before it looks for objects whose refs are garbage; doubled while there are few. */
export const COLLECT_AFTER_BYTES = 512 * MIB;
export const MAX_COLLECT_AFTER_BYTES = 16 * GIB;
/** The same when the store is full, at most: looking costs milliseconds, and objects that are needed come to disk soon. */
export const MAX_COLLECT_UNDER_PRESSURE_BYTES = 16 * MIB;
/** Objects are spilled ahead of need when those with no other copy fill more than this share of the store. */
export const SPILL_THRESHOLD = 0.8;
/** Objects are fused into spill files of about this size; a larger object has a file of its own. */
export const SPILL_FILE_BYTES = 64 * MIB;
/** A spill file of a small store is at most this share of it. */
export const SPILL_FILE_SHARE = 1 / 8;
export const MAX_OBJECTS_PER_SPILL_FILE = 10_000;
/** Spill files that one raylet writes at the same time. */
export const MAX_SPILL_WRITES = 2;
/** Each piece of a spilled object has a checksum. */
export const SPILL_PIECE_BYTES = MIB;
/** One read or write of a spill file: so much memory for each that is under way. */
export const SPILL_BUFFER_BYTES = 4 * MIB;
/** What spilling leaves free of a file system: the smaller of a share and an amount. */
export const DISK_KEEP_SHARE = 0.05;
export const DISK_KEEP_BYTES = GIB;
/** Requests for a block that wait for room, and how long they may wait while none is served and no file is written. */
export const MAX_WAITING_ALLOCATIONS = 100_000;
export const ALLOCATION_WAIT_MS = 60_000;
/** How long a writer waits in synchronous code for room. */
export const ROOM_ANSWER_MS = ALLOCATION_WAIT_MS + EXTENT_ANSWER_MS;
/** Blocks that are still being written may be sealed and spilled soon: so long a request waits before it goes to disk. */
export const FALLBACK_AFTER_MS = 1_000;
/** Without disk it is refused after so many of these waits: beside other work processes need seconds to collect garbage. */
export const ROUNDS_BEFORE_REFUSAL = 5;
/** Offsets from here on lie in the fallback file instead of the arena. */
export const FALLBACK_OFFSET = 2 ** 46;
/** The fallback file is never longer, whatever the disk has. */
export const MAX_FALLBACK_BYTES = 2 ** 44;
/** Holders that the error of a full store names. */
export const NAMED_HOLDERS = 5;
/** One read or write of a file moves at most this much: the kernel cuts it at 2 GiB. */
export const MAX_IO_BYTES = GIB;

// ── Tasks and leases ────────────────────────────────────────────────────────────────────────────────────────────────

export const DEFAULT_MAX_RETRIES = 3;
/** Unfinished tasks and actor calls of one process. */
export const MAX_PENDING_CALLS = 1_000_000;
/** Lease requests one owner has open for one scheduling key. */
export const MAX_OPEN_REQUESTS_PER_KEY = 16;
export const MAX_QUEUED_LEASES = 1_000_000;
/** Functions with their options that one connection of an owner names by numbers; beyond it, it begins anew. */
export const MAX_TEMPLATES = 0xffff;
/** Tasks pushed to one worker before the first has been answered, once the key is known to be fast. */
export const MAX_PIPELINE_DEPTH = 512;
/** A worker is given tasks ahead for this long, by their mean run time. */
export const PIPELINE_AHEAD_MS = 2;
/** Below this median run time tasks of a key are pipelined. */
export const PIPELINE_BELOW_MS = 1;
/** A worker whose running task is older than this hands unstarted pushes back. */
export const HAND_BACK_AFTER_MS = 2;
/** A lease whose oldest task has not ended for this long is recalled: what waits behind it may run elsewhere. */
export const RECALL_AFTER_MS = 20;
/** It is asked for again after this time, if the raylet could say nothing. */
export const RECALL_PAUSE_MS = 200;
/** Recalls of one worker that are under way; beyond it they are dropped, and asked for again. */
export const MAX_RECALLS_PER_WORKER = 256;
/** A lease's tasks are numbered in 31 bits of a claim word; then it goes back. */
export const MAX_PUSHES_PER_LEASE = 0x7fff_fff0;
/** Small results that a worker keeps after it has answered: more than an owner of one lease can leave unread. */
export const MAX_KEPT_ANSWERS = 1_024;
export const MAX_KEPT_ANSWER_BYTES = 16 * MIB;
/** Tasks whose results a worker was asked to promote before they were there. */
export const MAX_PROMISED_RESULTS = 65_536;
/** A first result that its owner has not come for after this time is promoted: the owner may be busy. */
export const PROMOTE_UNREAD_AFTER_MS = 20;
/** Ended leases that a worker remembers, to tell a late message from an early one. */
export const MAX_CLOSED_LEASES = 4_096;
/** An idle lease goes back to its raylet after this time. */
export const LEASE_IDLE_MS = 500;
/** An owner is warned when its demand could not be met for this long. */
export const INFEASIBLE_WARNING_MS = 10_000;
/** Nesting of tasks is counted up to here; deeper ones rank as this deep. */
export const MAX_TASK_DEPTH = 65_535;
export const MAX_ACTORS = 1_000_000;
/** The encoded error that ended an actor's constructor; a larger one travels as its words. */
export const MAX_ACTOR_ERROR_BYTES = 16 * KIB;
/** Such errors that the GCS keeps for those who call the actors; of further ones it has the words alone. */
export const MAX_KEPT_ACTOR_ERROR_BYTES = 64 * MIB;
/** Actors that somebody asked for before they were registered, and how long the registration may take. */
export const MAX_EARLY_ACTORS = 100_000;
export const REGISTRATION_WAIT_MS = 10_000;
/** Ended actors that the GCS remembers, to tell them from those to come. */
export const MAX_GONE_ACTORS = 100_000;
/** Actor calls that wait at an actor for an earlier call of the same caller. */
export const MAX_CALLS_AHEAD = 1_000_000;
/** What `maxConcurrency` may be: it travels in 32 bits. */
export const MAX_ACTOR_CONCURRENCY = 0xffff_ffff;
export const DEFAULT_ACTOR_CONCURRENCY = 1_000;
/** A worker may be busy with synchronous code for long: so long one dial waits for its answer, before the next. */
export const WORKER_DIAL_TIMEOUT_MS = 60_000;
/** Pauses between dials of a worker or an actor that cannot be reached. */
export const FIRST_REDIAL_MS = 100;
export const MAX_REDIAL_MS = 5_000;
/** A leased worker that refuses this many dials in a row is given up, if its raylet has not said by then that it died. */
export const MAX_REFUSED_DIALS = 8;
/** How long a raylet may take to say why the connection to a leased worker ended; then the lease is given up. */
export const LEASE_REASON_WAIT_MS = 2_000;
/** How long the GCS may take to say why an actor's connection ended; then calls under way end as unavailable. */
export const ACTOR_REASON_WAIT_MS = 5_000;

// ── Resources ───────────────────────────────────────────────────────────────────────────────────────────────────────

/** Resource amounts are whole multiples of 1/10,000, bytes are whole: sums over all nodes stay exact. */
export const RESOURCE_UNITS = 10_000;
export const MAX_RESOURCE_AMOUNT = 1e15 / RESOURCE_UNITS;
/** 10 TB of memory or store on one node. */
export const MAX_BYTES_AMOUNT = 1e13;
export const MAX_RESOURCE_KINDS = 256;
/** Of these, CPU, GPU, memory and objectStoreMemory are ours. */
export const MAX_CUSTOM_RESOURCES = MAX_RESOURCE_KINDS - 4;
export const MAX_LABELS = 256;

// ── Processes and nodes ─────────────────────────────────────────────────────────────────────────────────────────────

export const MAX_NODES = 10_000;
/** Dead nodes that `nodes()` lists. */
export const MAX_DEAD_NODES = 1_000;
export const MAX_WORKERS_PER_NODE = 1_024;
/** Workers that may start at the same time on one node. */
export const MAX_STARTING_WORKERS = 16;
/** A worker that does not register within this time is killed. */
export const WORKER_START_TIMEOUT_MS = 60_000;
/** Pauses between starts of workers that end before they have registered. */
export const FIRST_WORKER_RESTART_MS = 100;
export const MAX_WORKER_RESTART_MS = 5_000;
/** After so many failed starts in a row, requests that no worker of the node can serve are refused. */
export const MAX_FAILED_STARTS = 5;
/** Spare idle workers are stopped after this time. */
export const WORKER_IDLE_MS = 10_000;
export const HEARTBEAT_MS = 1_000;
/** After garbage was waited for in vain, a full store waits for it again after this time, or when something gave way. */
export const GARBAGE_AGAIN_MS = 5_000;
/** So long resources are waited for before processes are asked for garbage that may hold them. */
export const GARBAGE_WANTED_AFTER_MS = 1_000;
/** They are asked again after pauses that double up to this. */
export const MAX_GARBAGE_WANTED_EVERY_MS = 30_000;
/** How often full stores can have the processes of all nodes asked between two heartbeats. */
export const MAX_GARBAGE_ROUNDS = 8;
/** A node that has not been heard of for this long is dead. */
export const NODE_TIMEOUT_MS = 10_000;
/** Last lines of a worker's stderr that its crash error quotes. */
export const STDERR_TAIL_LINES = 20;
/** Of each of them. */
export const MAX_QUOTED_LINE = 2_000;
/** A line of a process's output with more UTF-16 units is cut into pieces. */
export const MAX_LOG_LINE_LENGTH = 64 * KIB;
/** Output of a job's workers that one node keeps for its driver; lines beyond it are dropped, and counted. */
export const MAX_OUTPUT_BYTES_PER_JOB = 4 * MIB;
/** The same for all jobs of a node together. */
export const MAX_OUTPUT_BYTES = 32 * MIB;
/** What of it is under way to a driver at a time. */
export const MAX_OUTPUT_BATCH_BYTES = 256 * KIB;
export const MAX_OUTPUT_BATCH_LINES = 4_096;
/** Lines gather for this long before they leave their node. */
export const OUTPUT_DELAY_MS = 20;
/** A line that comes again within this time is counted and not shown again; then the count is shown. */
export const OUTPUT_REPEAT_MS = 2_000;
/** Lines that a driver remembers for that. */
export const MAX_REMEMBERED_LINES = 1_024;
/** Longer ones are shown as often as they come. */
export const MAX_COLLAPSED_LINE_LENGTH = 2_000;
/** How long a driver that leaves waits for what its workers wrote last. */
export const OUTPUT_PATIENCE_MS = 1_000;
/** A task's or actor's name before its output is cut to this many characters. */
export const MAX_OUTPUT_NAME_LENGTH = 128;
/** Log directories of ended sessions that are kept for reading. */
export const MAX_KEPT_LOG_DIRECTORIES = 20;
/** A process's own log file; beyond it, it begins anew and the old one is kept once. */
export const MAX_LOG_FILE_BYTES = 64 * MIB;

// ── Functions ───────────────────────────────────────────────────────────────────────────────────────────────────────

export const MAX_FUNCTION_BYTES = 100 * MIB;
/** Captured binary data of at least this size becomes an object of its own instead of a part of the function. */
export const IMPLICIT_OBJECT_BYTES = MIB;
/** A function that captures more data than this is warned of, with the variable's name. */
export const CAPTURE_WARNING_BYTES = 10 * MIB;
/** What a function may capture, implicit objects included. */
export const MAX_CAPTURED_BYTES = 100 * MIB;
export const MAX_FUNCTIONS = 100_000;

// ── Wire ────────────────────────────────────────────────────────────────────────────────────────────────────────────

/** One frame of an authenticated connection. */
export const MAX_FRAME_BYTES = 128 * MIB;
/** What a connection may send before it has authenticated. */
export const MAX_UNAUTHENTICATED_BYTES = 64 * KIB;
export const MAX_UNAUTHENTICATED_CONNECTIONS = 1_024;
/** Half-open connections from one address beyond the loopback. */
export const MAX_UNAUTHENTICATED_PER_ADDRESS = 64;
export const HANDSHAKE_TIMEOUT_MS = 5_000;
/** A cluster's secret: shorter ones are refused. */
export const MIN_SECRET_BYTES = 16;
/** One frame (type and body) of the handshake. */
export const MAX_HANDSHAKE_FRAME_BYTES = 512;
/**
 * Frames of one turn leave together, and earlier once they are this many bytes: the peer begins with the first hundred
 * tasks while the rest are still being made. With 64 KiB driver and worker took turns on one core's worth of time.
 */
export const FLUSH_BYTES = 2 * KIB;
/** A closing connection waits this long for its peer to take the last bytes. */
export const CLOSE_TIMEOUT_MS = 5_000;
/** Bytes that may wait in one connection's send queue before the sender is told to pause. */
export const MAX_SEND_QUEUE_BYTES = GIB;
/** Object bytes travel between nodes in pieces of this size, each with a checksum. */
export const TRANSFER_CHUNK_BYTES = MIB;
/** A transfer whose peer is silent for this long has failed; sooner where another replica can take over. */
export const TRANSFER_STALL_MS = 10_000;
export const REPLACED_STALL_MS = 3_000;
/** A larger object is pulled from several replicas at the same time, in ranges of the second size. */
export const MULTI_SOURCE_BYTES = 64 * MIB;
export const TRANSFER_RANGE_BYTES = 16 * MIB;
/** A complete or growing copy is sent so many pullers at a time; others are sent to those. */
export const MAX_PULLERS_PER_COPY = 2;
/** Smaller objects are pulled from wherever they are. */
export const MIN_DISTRIBUTED_BYTES = 4 * MIB;
/** A node that is going to pull an object itself lets a puller wait for the beginning this long; a puller of
 * the same host also for the end, to copy the whole. */
export const PARTIAL_COPY_WAIT_MS = 1_000;
/** So many replicas at most. */
export const MAX_PULL_SOURCES = 4;
/** A replica is slow that gave less than this part of what another gave meanwhile; it is replaced for a rest this long. */
export const SLOW_REPLICA_FACTOR = 4;
export const MIN_TAKE_OVER_BYTES = MIB;
/** A node on the same host copies so much from the peer's arena before it asks whether the block is still kept for it. */
export const SAME_HOST_COPY_BYTES = 32 * MIB;
export const MAX_PEER_PATH_BYTES = 255;
/** Transfer connections that wait for the next pull: of one peer, of all, and how long. */
export const MAX_IDLE_TRANSFERS_PER_PEER = 2;
export const MAX_IDLE_TRANSFERS = 32;
export const TRANSFER_IDLE_MS = 10_000;
/** One UTF-16 unit of a text takes at most this many bytes. */
export const MAX_UTF8_BYTES = 3;
/** Names, and words for people. A longer name is refused where it is given, longer words are cut. */
export const MAX_TEXT_BYTES = 64 * KIB;
/** The name of a resource or a label. */
export const MAX_KEY_BYTES = 256;
export const MAX_ID_BYTES = 64;
/** Unix socket paths longer than this are silently cut by the kernel. */
export const MAX_SOCKET_PATH_BYTES = 107;

// ── Memory ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Objects that one report of `mobula memory` names, the largest; the others are in its totals. */
export const MAX_MEMORY_ROWS = 5_000;
/** Holders and copies of one object that a report names. */
export const MAX_MEMORY_HOLDERS = 16;
/** Lines of user code in one process's report, those with most bytes. */
export const MAX_MEMORY_SITES = 1_000;
/** Lines of user code that one process tells apart. */
export const MAX_SITES = 10_000;
/** Of each remote function so many calls are looked at before it is known whether results of it go to the store. */
export const MAX_SITES_SEEN_FIRST = 16;
/** Objects that a process has made and let go and whose lines it remembers: others may hold them. */
export const MAX_KEPT_ORIGINS = 5_000;

// ── Tracing ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Journey records that one process keeps: about the last 1,000 tasks. */
export const JOURNEY_RING_RECORDS = 8_192;
/** A longer name in a record is cut. */
export const MAX_RECORD_DETAIL = 1_000;
/** Questions about the cluster (`trace`) that one process gathers answers to, and the answers to one together. */
export const MAX_QUESTIONS = 1_024;
export const MAX_ANSWER_CHARACTERS = 16 * MIB;
/** Ladders of ended drivers and workers stay with their raylet for this long, if there is room. */
export const KEPT_LADDERS_MS = 10 * 60 * 1_000;
export const MAX_KEPT_LADDERS_BYTES = 32 * MIB;
