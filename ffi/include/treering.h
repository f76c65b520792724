/* treering.h: the C library of Treering, a time-series database inside of your program.
 *
 * What callers promise, for every function:
 *
 * - a pointer is null, or points to memory of its type that stays as it is for the time of the call; null where
 *   something is needed is an error, a null `error` is none;
 * - a length is the number of elements (of texts: bytes) that the pointer before it points to; null and 0 is an
 *   empty array; texts are UTF-8 and need no zero byte at their end;
 * - times are nanoseconds since the Unix epoch.
 *
 * What the library promises: a handle that is null, was closed or freed before, or is of another kind is
 * TREERING_ERROR_HANDLE and nothing else happens. A function that failed put an error handle where `error` points
 * to, which the caller frees; one that did not put null there. No function ends the program or unwinds.
 *
 * Every function may be called from any thread; docs/c.md says more, with examples.
 */

#ifndef TREERING_H
#define TREERING_H

/* Made by `cargo xtask header`; do not edit. */

#include <stddef.h>
#include <stdint.h>

/* A literal as a text and its length: treering_select(db, TREERING_TEXT("cpu"), ...) */
#define TREERING_TEXT(literal) (literal), (sizeof(literal) - 1)
/* The same for members of type treering_string. */
#define TREERING_STRING(literal) {(literal), sizeof(literal) - 1}

/* The structs of the Arrow C data and stream interfaces: the same in every program that has them. */
#ifndef ARROW_C_DATA_INTERFACE
#define ARROW_C_DATA_INTERFACE
#define ARROW_FLAG_DICTIONARY_ORDERED 1
#define ARROW_FLAG_NULLABLE 2
#define ARROW_FLAG_MAP_KEYS_SORTED 4

struct ArrowSchema {
  const char *format;
  const char *name;
  const char *metadata;
  int64_t flags;
  int64_t n_children;
  struct ArrowSchema **children;
  struct ArrowSchema *dictionary;
  void (*release)(struct ArrowSchema *);
  void *private_data;
};

struct ArrowArray {
  int64_t length;
  int64_t null_count;
  int64_t offset;
  int64_t n_buffers;
  int64_t n_children;
  const void **buffers;
  struct ArrowArray **children;
  struct ArrowArray *dictionary;
  void (*release)(struct ArrowArray *);
  void *private_data;
};
#endif

#ifndef ARROW_C_STREAM_INTERFACE
#define ARROW_C_STREAM_INTERFACE
struct ArrowArrayStream {
  int (*get_schema)(struct ArrowArrayStream *, struct ArrowSchema *);
  int (*get_next)(struct ArrowArrayStream *, struct ArrowArray *);
  const char *(*get_last_error)(struct ArrowArrayStream *);
  void (*release)(struct ArrowArrayStream *);
  void *private_data;
};
#endif

// For `treering_options.sync`: what the library thinks best, an interval of 200 ms.
#define TREERING_SYNC_DEFAULT 0

// Appends return when they are fsynced; threads share one fsync.
#define TREERING_SYNC_ALWAYS 1

// Appends return when the system has them; fsync at least every `sync_interval_ns`.
#define TREERING_SYNC_INTERVAL 2

// Appends return when the system has them; it syncs when it likes.
#define TREERING_SYNC_NEVER 3

// For `treering_options.reads`: what the library thinks best, memory maps.
#define TREERING_READS_DEFAULT 0

// Files are mapped: fastest, but a failing disk can end the process with SIGBUS.
#define TREERING_READS_MMAP 1

// Files are read with pread: a failing disk is an error.
#define TREERING_READS_PREAD 2

// How many samples.
#define TREERING_COUNT 1

// The sum, compensated.
#define TREERING_SUM 2

// The smallest value; NaN only where there is no other.
#define TREERING_MIN 3

// The largest value; NaN only where there is no other.
#define TREERING_MAX 4

// The sum divided by the count.
#define TREERING_AVG 5

// The earliest value.
#define TREERING_FIRST 6

// The latest value.
#define TREERING_LAST 7

// The standard deviation of the population.
#define TREERING_STDDEV 8

// The quantile of rank `quantile`.
#define TREERING_QUANTILE 9

// The increase of a counter between the first and the last sample of a window.
#define TREERING_INCREASE 10

// The increase divided by the width of the window in seconds.
#define TREERING_RATE 11

// Each series by itself.
#define TREERING_EACH 0

// One group for each combination of values of the labels in `names`; without names, one of all.
#define TREERING_BY 1

// One group for each combination of values of all labels but those in `names`.
#define TREERING_WITHOUT 2

// The version of the ABI: a program that was compiled with another one needs to be compiled again.
#define TREERING_ABI_VERSION 0

// What a call came to. 0 and 1 are no failures.
enum treering_status
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Done.
  TREERING_OK = 0,
  // There is nothing more to hand out.
  TREERING_END = 1,
  // An argument makes no sense: a null pointer, a misaligned one, a length that cannot be, text
  // that is not UTF-8, a number outside its range.
  TREERING_ERROR_ARGUMENT = 2,
  // A handle is null, was closed or freed before, or is of another kind.
  TREERING_ERROR_HANDLE = 3,
  // Labels or a selector are malformed or too large.
  TREERING_ERROR_LABELS = 4,
  // A PromQL query is malformed or cannot be evaluated.
  TREERING_ERROR_QUERY = 5,
  // An option is outside its range.
  TREERING_ERROR_OPTION = 6,
  // A limit was reached; the message names it and the way out.
  TREERING_ERROR_LIMIT = 7,
  // The operating system refused a file operation.
  TREERING_ERROR_IO = 8,
  // The disk is full. Nothing was changed; questions are answered.
  TREERING_ERROR_DISK_FULL = 9,
  // A file holds bytes that were not written there; the message names file and offset.
  TREERING_ERROR_CORRUPT = 10,
  // A file was written by a newer release.
  TREERING_ERROR_VERSION = 11,
  // An earlier failure stopped all writes: close the database and open it again.
  TREERING_ERROR_POISONED = 12,
  // Another open, of this or another process, writes to the database.
  TREERING_ERROR_LOCKED = 13,
  // The directory holds no database.
  TREERING_ERROR_NOT_A_DATABASE = 14,
  // The database was closed while the call was under way.
  TREERING_ERROR_CLOSED = 15,
  // The database was opened for reading only.
  TREERING_ERROR_READ_ONLY = 16,
  // A sample is older than its namespace keeps.
  TREERING_ERROR_EXPIRED = 17,
  // A series handle is of another database, or the database was closed in between.
  TREERING_ERROR_STALE_SERIES = 18,
  // There is no such namespace.
  TREERING_ERROR_NAMESPACE = 19,
  // The call was cancelled.
  TREERING_ERROR_CANCELLED = 20,
  // The query ran longer than it may.
  TREERING_ERROR_TIMEOUT = 21,
  // The answer has values that columns of doubles cannot hold (native histograms, strings).
  TREERING_ERROR_UNSUPPORTED = 22,
  // A failure that this release has no number for; the message tells.
  TREERING_ERROR_OTHER = 23,
  // A defect of the library, stopped at its door. Close what you can and report it.
  TREERING_ERROR_INTERNAL = 24,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum treering_status treering_status;
#else
typedef int32_t treering_status;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Why a call failed. All zero is null.
typedef struct treering_error {
  // Means nothing to you; 0 is null.
  uint64_t id;
} treering_error;

// How a database is opened. Set all of it to zero, then `size` to its `sizeof`, then what you
// need: a zero is the default. Options are per open; nothing of them is stored.
typedef struct treering_options {
  // `sizeof(treering_options)` of the header that you compile with.
  size_t size;
  // Bytes of heap that the database may hold; at least 8 MiB. 0: a quarter of the machine's.
  uint64_t memory_bytes;
  // Most series in memory. 0: 10,000,000.
  uint64_t max_series;
  // Size at which a file of the write-ahead log is closed, 64 KiB to 1 GiB. 0: 64 MiB.
  uint64_t wal_file_bytes;
  // Size of the whole log at which it is flushed into blocks. 0: 1 GiB.
  uint64_t wal_max_bytes;
  // Age at which it is flushed, at least one second. 0: two hours.
  uint64_t flush_interval_ns;
  // Time window of fresh blocks, one minute to ten years. 0: chosen from the data.
  uint64_t block_window_ns;
  // With TREERING_SYNC_INTERVAL, 1 ms to one hour. 0: 200 ms.
  uint64_t sync_interval_ns;
  // When an append returns: one of TREERING_SYNC_*.
  int32_t sync;
  // How blocks are read: one of TREERING_READS_*.
  int32_t reads;
  // Not 0: a missing database is an error. 0: it is made.
  int32_t must_exist;
  // Not 0: no threads of the database's own; call treering_flush and treering_compact.
  int32_t manual_maintenance;
  // Not 0: compaction writes values smaller still, at slower reading.
  int32_t entropy_coding;
  // Threads that large questions may use. 0: as many as the machine gives the process.
  uint32_t query_threads;
} treering_options;

// An open database. Any number of threads may use it at once. All zero is null.
typedef struct treering_db {
  // Means nothing to you; 0 is null.
  uint64_t id;
} treering_db;

// A text that the caller owns, or that the library lends: UTF-8, not ended by a zero byte.
typedef struct treering_string {
  // First byte; may be null when `len` is 0.
  const char *text;
  // Length in bytes.
  size_t len;
} treering_string;

// One label of a series. The name of a metric is the label `__name__`.
typedef struct treering_label {
  // Its name.
  struct treering_string name;
  // Its value.
  struct treering_string value;
} treering_label;

// A series of one database, for appending without naming its labels each time. All zero is null.
typedef struct treering_series {
  // Means nothing to you; 0 is null.
  uint64_t id;
} treering_series;

// Ends questions from another thread. All zero is null.
typedef struct treering_cancel {
  // Means nothing to you; 0 is null.
  uint64_t id;
} treering_cancel;

// Bounds on one question. Set all of it to zero, then `size`, then what you need.
typedef struct treering_query_options {
  // `sizeof(treering_query_options)` of the header that you compile with.
  size_t size;
  // Most series that it may meet. 0: 10,000,000.
  uint64_t max_series;
  // Most samples that may be read (PromQL: that may be held). 0: 4,000,000,000 (50,000,000).
  uint64_t max_samples;
  // Most bytes of working memory (PromQL: and of the answer). 0: 4 GiB (1 GiB).
  uint64_t max_bytes;
  // Longest run time. 0: 300 s (PromQL: 120 s).
  uint64_t timeout_ns;
  // PromQL only: how long a sample counts as current. 0: 300 s.
  uint64_t lookback_ns;
  // Ends it from another thread. Null: nobody does.
  struct treering_cancel cancel;
} treering_query_options;

// The answer to a question, handed out series by series. One thread at a time. All zero is null.
typedef struct treering_result {
  // Means nothing to you; 0 is null.
  uint64_t id;
} treering_result;

// What treering_aggregate computes. Set all of it to zero, then `size`, then what you need.
typedef struct treering_aggregation {
  // `sizeof(treering_aggregation)` of the header that you compile with.
  size_t size;
  // What to compute: one of TREERING_COUNT to TREERING_RATE.
  int32_t function;
  // How series are put together: TREERING_EACH, TREERING_BY or TREERING_WITHOUT.
  int32_t grouping;
  // For TREERING_QUANTILE: the rank, 0 to 1.
  double quantile;
  // A window every so many nanoseconds; the first ends at `first - 1 + step_ns`, so begin the
  // range one nanosecond after a round time for windows that end at round times. 0: one window
  // of the whole range, named by its end.
  uint64_t step_ns;
  // Width of a window. 0: as wide as the step.
  uint64_t window_ns;
  // Labels to group by.
  const struct treering_string *names;
  // How many.
  size_t names_len;
  // No more than so many series or groups, those with the largest values. 0: all.
  size_t top;
  // No more than so many series or groups, those with the smallest values. 0: all.
  size_t bottom;
} treering_aggregation;

// One series of an answer. Set all of it to zero, then `size`. What it points to is lent: it is
// good until the next call for this result, and never after the result is freed.
typedef struct treering_columns {
  // `sizeof(treering_columns)` of the header that you compile with.
  size_t size;
  // Its labels, in ascending order of their names.
  const struct treering_label *labels;
  // How many labels.
  size_t labels_len;
  // Nanoseconds since the Unix epoch, strictly ascending.
  const int64_t *timestamps;
  // The values at these times, bit for bit as they were appended.
  const double *values;
  // How many samples.
  size_t len;
  // Not 0: an aggregate over downsampled data that may be off; see the guide.
  int32_t approximate;
  // Always 0.
  int32_t reserved;
} treering_columns;

// A text that the library made. All zero is null.
typedef struct treering_text {
  // Means nothing to you; 0 is null.
  uint64_t id;
} treering_text;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The version of the library as text, ended by a zero byte: "0.1.0". Never null.
const char *treering_version(void);

// The TREERING_ABI_VERSION that the library was built with.
uint32_t treering_abi_version(void);

// The status of an error; TREERING_OK for null, TREERING_ERROR_HANDLE for what is no error.
treering_status treering_error_status(struct treering_error error);

// What went wrong, in a sentence that ends with a zero byte; good until the error is freed. Never
// null: of what is no error it says so.
const char *treering_error_message(struct treering_error error);

// The same with its length in bytes, for messages with characters that C strings cannot hold.
treering_status treering_error_text(struct treering_error error,
                                    const char **text,
                                    size_t *len);

// Frees an error. Null is TREERING_OK; a second time is TREERING_ERROR_HANDLE and does nothing.
treering_status treering_error_free(struct treering_error error);

// Opens the database in the directory `path`, or makes it. One open at a time: a second one is
// TREERING_ERROR_LOCKED. `options` may be null.
treering_status treering_open(const char *path,
                              size_t path_len,
                              const struct treering_options *options,
                              struct treering_db *db,
                              struct treering_error *error);

// Opens the database in the directory `path` for reading, beside its writer or after it. Nothing
// in the directory is written; treering_refresh moves on to what the writer wrote since.
treering_status treering_open_read_only(const char *path,
                                        size_t path_len,
                                        const struct treering_options *options,
                                        struct treering_db *db,
                                        struct treering_error *error);

// Opens a database that lives in memory and ends with treering_close.
treering_status treering_open_in_memory(const struct treering_options *options,
                                        struct treering_db *db,
                                        struct treering_error *error);

// Makes everything durable, lets go of the directory and frees the handle, also when it fails.
// Calls under way in other threads end as they can; results stay good until they are freed.
treering_status treering_close(struct treering_db db,
                               struct treering_error *error);

// Appends one sample of the series with these labels, given in any order. When it returns
// TREERING_OK the sample is seen by the next question.
treering_status treering_append(struct treering_db db,
                                const struct treering_label *labels,
                                size_t labels_len,
                                int64_t timestamp,
                                double value,
                                struct treering_error *error);

// Appends `len` samples of one series, in any order of time; of equal timestamps the later wins.
// At most 4,194,304 at once.
treering_status treering_append_columns(struct treering_db db,
                                        const struct treering_label *labels,
                                        size_t labels_len,
                                        const int64_t *timestamps,
                                        const double *values,
                                        size_t len,
                                        struct treering_error *error);

// Appends `len` samples, each with the series that it is of: the fast way for many series. Three
// arrays of equal length. At most 4,194,304 at once.
treering_status treering_append_batch(struct treering_db db,
                                      const struct treering_series *series,
                                      const int64_t *timestamps,
                                      const double *values,
                                      size_t len,
                                      struct treering_error *error);

// A handle on the series with these labels, made when it is new. It shows in questions once it has
// samples, and stays in memory until its last handle is freed.
treering_status treering_series_open(struct treering_db db,
                                     const struct treering_label *labels,
                                     size_t labels_len,
                                     struct treering_series *series,
                                     struct treering_error *error);

// The same with the labels as a text: `cpu{host="a"}`.
treering_status treering_series_parse(struct treering_db db,
                                      const char *labels,
                                      size_t labels_len,
                                      struct treering_series *series,
                                      struct treering_error *error);

// Frees a handle on a series; the series and its samples stay. Also after its database was closed.
// Null is TREERING_OK.
treering_status treering_series_free(struct treering_series series,
                                     struct treering_error *error);

// The series of `selector`, such as `cpu{host=~"a.*"}`, with samples from `first` to `last`, in
// label order. Samples are decoded as they are asked for. `options` may be null.
treering_status treering_select(struct treering_db db,
                                const char *selector,
                                size_t selector_len,
                                int64_t first,
                                int64_t last,
                                const struct treering_query_options *options,
                                struct treering_result *result,
                                struct treering_error *error);

// Computes `what` over the samples of the series of `selector` from `first` to `last`.
treering_status treering_aggregate(struct treering_db db,
                                   const char *selector,
                                   size_t selector_len,
                                   int64_t first,
                                   int64_t last,
                                   const struct treering_aggregation *what,
                                   const struct treering_query_options *options,
                                   struct treering_result *result,
                                   struct treering_error *error);

// The value of a PromQL query at `time`: one series for each element of a vector, one without
// labels for a scalar.
treering_status treering_promql(struct treering_db db,
                                const char *query,
                                size_t query_len,
                                int64_t time,
                                const struct treering_query_options *options,
                                struct treering_result *result,
                                struct treering_error *error);

// The values of a PromQL query at `start`, `start + step` and so on up to `end`.
treering_status treering_promql_range(struct treering_db db,
                                      const char *query,
                                      size_t query_len,
                                      int64_t start,
                                      int64_t end,
                                      int64_t step,
                                      const struct treering_query_options *options,
                                      struct treering_result *result,
                                      struct treering_error *error);

// Makes what ends questions from another thread: put it into treering_query_options.cancel.
treering_status treering_cancel_new(struct treering_cancel *cancel,
                                    struct treering_error *error);

// Ends the questions that have it, also those to come, with TREERING_ERROR_CANCELLED.
treering_status treering_cancel_now(struct treering_cancel cancel,
                                    struct treering_error *error);

// Frees it; questions that have it go on. Null is TREERING_OK.
treering_status treering_cancel_free(struct treering_cancel cancel,
                                     struct treering_error *error);

// The next series of a result, lent until the next call for it; TREERING_END when there is none.
// After an error there is nothing more.
treering_status treering_result_next(struct treering_result result,
                                     struct treering_columns *columns,
                                     struct treering_error *error);

// What the author of a PromQL query should know beside its result, one note a line; empty for
// other results.
treering_status treering_result_notes(struct treering_result result,
                                      struct treering_text *notes,
                                      struct treering_error *error);

// Moves what is left of a result into an Arrow stream and frees the result. Rows are samples: a
// column of text (dictionary) for each label name, `timestamp` (ns, UTC), `value`; of aggregates
// also `approximate`. What `stream` was before is not released. On an error the result is freed,
// and `stream->release` is null.
treering_status treering_result_arrow(struct treering_result result,
                                      struct ArrowArrayStream *stream,
                                      struct treering_error *error);

// Frees a result, read to its end or not. Null is TREERING_OK.
treering_status treering_result_free(struct treering_result result,
                                     struct treering_error *error);

// Makes everything appended so far durable.
treering_status treering_sync(struct treering_db db,
                              struct treering_error *error);

// Moves everything appended so far into blocks.
treering_status treering_flush(struct treering_db db,
                               struct treering_error *error);

// Merges blocks as far as that goes. Takes a while; appends and questions go on.
treering_status treering_compact(struct treering_db db,
                                 struct treering_error *error);

// Moves a database that was opened for reading on to what its writer wrote since; `changed`, which
// may be null, becomes 1 if there was anything, else 0.
treering_status treering_refresh(struct treering_db db,
                                 int32_t *changed,
                                 struct treering_error *error);

// Deletes the samples of the series of `selector` from `first` to `last`, both included. No
// question sees them any more when it returns; samples appended later live.
treering_status treering_delete(struct treering_db db,
                                const char *selector,
                                size_t selector_len,
                                int64_t first,
                                int64_t last,
                                struct treering_error *error);

// Makes a copy of the database in the new directory `path`, of one moment, by hard links where the
// file system can. It appears whole or not at all.
treering_status treering_snapshot(struct treering_db db,
                                  const char *path,
                                  size_t path_len,
                                  struct treering_error *error);

// Reads every byte that a question may be answered from. `problems` becomes the number of things
// that are wrong; `report`, which may be null, all of them as JSON.
treering_status treering_verify(struct treering_db db,
                                uint64_t *problems,
                                struct treering_text *report,
                                struct treering_error *error);

// What the database holds and has done, as one object of JSON.
treering_status treering_stats(struct treering_db db,
                               struct treering_text *stats,
                               struct treering_error *error);

// Where a text begins and how many bytes it has: UTF-8, not ended by a zero byte. Good until it is
// freed.
treering_status treering_text_get(struct treering_text text,
                                  const char **first,
                                  size_t *len,
                                  struct treering_error *error);

// Frees a text. Null is TREERING_OK.
treering_status treering_text_free(struct treering_text text,
                                   struct treering_error *error);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* TREERING_H */
