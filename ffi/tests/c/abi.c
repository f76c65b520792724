/* Every function of the library, used rightly and wrongly, from C99; then eight threads at once.
 *
 * Argument: a folder that is not there yet, in which databases are made. Output: what failed; exit code 0 when
 * nothing did. Also run under AddressSanitizer and valgrind.
 */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <treering.h>

static int failures = 0;

#define CHECK(condition)                                                       \
  do {                                                                         \
    if (!(condition)) {                                                        \
      fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition);  \
      failures++;                                                              \
    }                                                                          \
  } while (0)

#define OK(call) check_ok((call), #call, __LINE__)

static treering_error error;

static void check_ok(treering_status status, const char *call, int line) {
  if (status != TREERING_OK) {
    fprintf(stderr, "abi.c:%d: %s: %d: %s\n", line, call, (int)status, treering_error_message(error));
    failures++;
  }
  CHECK(status != TREERING_OK || error.id == 0);
  treering_error_free(error);
  error.id = 0;
}

/* Frees the error of a call that should have failed. */
#define FAILS(expected, call)                                                  \
  do {                                                                         \
    treering_status status_ = (call);                                          \
    CHECK(status_ == (expected));                                              \
    CHECK(treering_error_status(error) == (expected));                         \
    CHECK(strlen(treering_error_message(error)) > 5);                          \
    CHECK(treering_error_free(error) == TREERING_OK);                          \
    CHECK(treering_error_free(error) == TREERING_ERROR_HANDLE);                \
    error.id = 0;                                                              \
  } while (0)

static treering_options small_options(void) {
  treering_options options = {0};
  options.size = sizeof options;
  options.memory_bytes = 32u << 20;
  options.sync = TREERING_SYNC_NEVER;
  options.reads = TREERING_READS_PREAD;
  return options;
}

static treering_columns no_columns(void) {
  treering_columns columns = {0};
  columns.size = sizeof columns;
  return columns;
}

static const treering_label CPU_A[] = {{TREERING_STRING("__name__"), TREERING_STRING("cpu")},
                                       {TREERING_STRING("host"), TREERING_STRING("a")}};

static int is_text(treering_string string, const char *text) {
  return string.len == strlen(text) && memcmp(string.text, text, string.len) == 0;
}

static void appends_and_selects(treering_db db) {
  const int64_t times[] = {3, 1, 2};
  const double values[] = {0.5, -0.0, 1.0 / 3.0};
  OK(treering_append_columns(db, CPU_A, 2, times, values, 3, &error));
  OK(treering_append(db, CPU_A, 2, 4, 7.0, &error));
  treering_series series[2];
  const treering_label disk[] = {{TREERING_STRING("__name__"), TREERING_STRING("disk")}};
  OK(treering_series_open(db, disk, 1, &series[0], &error));
  OK(treering_series_parse(db, TREERING_TEXT("cpu{host=\"b\"}"), &series[1], &error));
  OK(treering_append_batch(db, series, times, values, 2, &error));
  OK(treering_series_free(series[0], &error));
  FAILS(TREERING_ERROR_HANDLE, treering_series_free(series[0], &error));
  FAILS(TREERING_ERROR_HANDLE, treering_append_batch(db, series, times, values, 2, &error));
  OK(treering_series_free(series[1], &error));

  treering_result result;
  treering_columns columns = no_columns();
  OK(treering_select(db, TREERING_TEXT("cpu{host=~\"a.*\"}"), 1, 3, NULL, &result, &error));
  OK(treering_result_next(result, &columns, &error));
  CHECK(columns.labels_len == 2 && columns.len == 3 && columns.approximate == 0);
  CHECK(is_text(columns.labels[0].name, "__name__") && is_text(columns.labels[0].value, "cpu"));
  CHECK(is_text(columns.labels[1].name, "host") && is_text(columns.labels[1].value, "a"));
  CHECK(columns.timestamps[0] == 1 && columns.timestamps[1] == 2 && columns.timestamps[2] == 3);
  CHECK(memcmp(&columns.values[0], &values[1], sizeof(double)) == 0);
  CHECK(memcmp(&columns.values[1], &values[2], sizeof(double)) == 0);
  CHECK(memcmp(&columns.values[2], &values[0], sizeof(double)) == 0);
  CHECK(treering_result_next(result, &columns, &error) == TREERING_END);
  CHECK(columns.len == 0 && error.id == 0);
  OK(treering_result_free(result, &error));
  FAILS(TREERING_ERROR_HANDLE, treering_result_next(result, &columns, &error));
  FAILS(TREERING_ERROR_HANDLE, treering_result_free(result, &error));
}

static void aggregates_and_queries(treering_db db) {
  treering_query_options bounds = {0};
  treering_aggregation what = {0};
  const treering_string names[] = {TREERING_STRING("__name__")};
  treering_result result;
  treering_columns columns = no_columns();
  treering_text notes;
  const char *text = NULL;
  size_t len = 99;
  bounds.size = sizeof bounds;
  bounds.timeout_ns = 60000000000u;
  OK(treering_cancel_new(&bounds.cancel, &error));
  what.size = sizeof what;
  what.function = TREERING_SUM;
  what.grouping = TREERING_BY;
  what.names = names;
  what.names_len = 1;
  OK(treering_aggregate(db, TREERING_TEXT("cpu"), 1, 9, &what, &bounds, &result, &error));
  OK(treering_result_next(result, &columns, &error));
  CHECK(columns.len == 1 && columns.timestamps[0] == 9 && columns.values[0] > 7.0);
  OK(treering_result_free(result, &error));
  FAILS(TREERING_ERROR_ARGUMENT, treering_aggregate(db, TREERING_TEXT("cpu"), 1, 9, NULL, NULL, &result, &error));

  OK(treering_promql(db, TREERING_TEXT("sum by (host) (cpu)"), 4, &bounds, &result, &error));
  OK(treering_result_notes(result, &notes, &error));
  OK(treering_text_get(notes, &text, &len, &error));
  CHECK(text != NULL && len == 0);
  OK(treering_text_free(notes, &error));
  OK(treering_result_next(result, &columns, &error));
  CHECK(columns.labels_len == 1 && columns.len == 1);
  OK(treering_result_free(result, &error));
  FAILS(TREERING_ERROR_QUERY, treering_promql(db, TREERING_TEXT("sum("), 4, NULL, &result, &error));
  OK(treering_promql_range(db, TREERING_TEXT("cpu * 2"), 0, 40, 10, NULL, &result, &error));
  OK(treering_result_next(result, &columns, &error));
  CHECK(columns.len == 4);
  OK(treering_result_free(result, &error));

  OK(treering_cancel_now(bounds.cancel, &error));
  FAILS(TREERING_ERROR_CANCELLED, treering_select(db, TREERING_TEXT("cpu"), 0, 9, &bounds, &result, &error));
  OK(treering_cancel_free(bounds.cancel, &error));
  FAILS(TREERING_ERROR_HANDLE, treering_select(db, TREERING_TEXT("cpu"), 0, 9, &bounds, &result, &error));
}

static void streams(treering_db db) {
  treering_result result;
  struct ArrowArrayStream stream;
  struct ArrowSchema schema;
  struct ArrowArray array;
  const int64_t *times;
  OK(treering_select(db, TREERING_TEXT("cpu"), 0, 9, NULL, &result, &error));
  OK(treering_result_arrow(result, &stream, &error));
  CHECK(stream.get_schema(&stream, &schema) == 0);
  CHECK(schema.n_children == 4 && strcmp(schema.format, "+s") == 0);
  CHECK(strcmp(schema.children[1]->name, "host") == 0 && strcmp(schema.children[1]->format, "i") == 0);
  CHECK(strcmp(schema.children[2]->format, "tsn:UTC") == 0);
  schema.release(&schema);
  CHECK(schema.release == NULL);
  CHECK(stream.get_next(&stream, &array) == 0 && array.release != NULL);
  CHECK(array.length == 5 && array.n_children == 4);
  times = (const int64_t *)array.children[2]->buffers[1];
  CHECK(times[0] == 1 && times[3] == 4);
  array.release(&array);
  CHECK(stream.get_next(&stream, &array) == 0 && array.release == NULL);
  CHECK(stream.get_last_error(&stream) == NULL);
  stream.release(&stream);
  CHECK(stream.release == NULL);
  FAILS(TREERING_ERROR_HANDLE, treering_result_arrow(result, &stream, &error));
  CHECK(stream.release == NULL);
}

static void misuse(treering_db db) {
  treering_db null = {0}, wild, other;
  treering_options options = small_options();
  treering_result result = {12345};
  const int64_t times[2] = {1, 2};
  const double values[2] = {1, 2};
  wild.id = 0x123456789abcdefu;
  FAILS(TREERING_ERROR_HANDLE, treering_close(null, &error));
  FAILS(TREERING_ERROR_HANDLE, treering_flush(wild, &error));
  FAILS(TREERING_ERROR_ARGUMENT, treering_append(db, NULL, 1, 1, 1.0, &error));
  FAILS(TREERING_ERROR_ARGUMENT, treering_append_columns(db, CPU_A, 2, NULL, values, 2, &error));
  FAILS(TREERING_ERROR_ARGUMENT, treering_append_columns(db, CPU_A, 2, times, values, SIZE_MAX, &error));
  FAILS(TREERING_ERROR_ARGUMENT, treering_append_columns(db, CPU_A, 2, times, values, SIZE_MAX / 8 + 1, &error));
  FAILS(TREERING_ERROR_ARGUMENT,
        treering_append_columns(db, CPU_A, 2, (const int64_t *)(const void *)((const char *)times + 1), values, 1,
                                &error));
  FAILS(TREERING_ERROR_ARGUMENT, treering_select(db, "cpu", SIZE_MAX, 0, 9, NULL, &result, &error));
  CHECK(result.id == 0);
  FAILS(TREERING_ERROR_ARGUMENT, treering_select(db, TREERING_TEXT("cpu"), 0, 9, NULL, NULL, &error));
  FAILS(TREERING_ERROR_ARGUMENT, treering_select(db, TREERING_TEXT("\xff\xfe"), 0, 9, NULL, &result, &error));
  FAILS(TREERING_ERROR_LABELS, treering_select(db, TREERING_TEXT("cpu{"), 0, 9, NULL, &result, &error));
  CHECK(treering_select(db, TREERING_TEXT("cpu{"), 0, 9, NULL, &result, NULL) == TREERING_ERROR_LABELS);
  options.size = 4;
  FAILS(TREERING_ERROR_ARGUMENT, treering_open_in_memory(&options, &other, &error));
  options = small_options();
  options.memory_bytes = 1;
  FAILS(TREERING_ERROR_OPTION, treering_open_in_memory(&options, &other, &error));
  options = small_options();
  OK(treering_open_in_memory(&options, &other, &error));
  OK(treering_close(other, &error));
  FAILS(TREERING_ERROR_HANDLE, treering_close(other, &error));
  FAILS(TREERING_ERROR_HANDLE, treering_append(other, CPU_A, 2, 1, 1.0, &error));
  /* A slot that is used again does not make the old handle good. */
  OK(treering_open_in_memory(&options, &null, &error));
  FAILS(TREERING_ERROR_HANDLE, treering_sync(other, &error));
  OK(treering_close(null, &error));
}

static void on_disk(const char *folder) {
  char copy[4096];
  const char *text = NULL;
  size_t len = 0;
  uint64_t problems = 7;
  int32_t changed = 7;
  treering_db db, reader;
  treering_text stats, report;
  treering_error failure;
  treering_options options = small_options();
  snprintf(copy, sizeof copy, "%s-copy", folder);
  options.must_exist = 1;
  CHECK(treering_open(folder, strlen(folder), &options, &db, &failure) != TREERING_OK);
  OK(treering_error_text(failure, &text, &len));
  CHECK(len > 10 && strlen(treering_error_message(failure)) == len);
  OK(treering_error_free(failure));
  options.must_exist = 0;
  OK(treering_open(folder, strlen(folder), &options, &db, &error));
  FAILS(TREERING_ERROR_LOCKED, treering_open(folder, strlen(folder), &options, &reader, &error));
  OK(treering_open_read_only(folder, strlen(folder), &options, &reader, &error));
  appends_and_selects(db);
  aggregates_and_queries(db);
  streams(db);
  misuse(db);
  OK(treering_sync(db, &error));
  OK(treering_refresh(reader, &changed, &error));
  CHECK(changed == 1);
  FAILS(TREERING_ERROR_READ_ONLY, treering_sync(reader, &error));
  OK(treering_close(reader, &error));
  OK(treering_delete(db, TREERING_TEXT("disk"), INT64_MIN, INT64_MAX, &error));
  OK(treering_flush(db, &error));
  OK(treering_compact(db, &error));
  OK(treering_snapshot(db, copy, strlen(copy), &error));
  OK(treering_verify(db, &problems, &report, &error));
  CHECK(problems == 0);
  OK(treering_text_free(report, &error));
  OK(treering_stats(db, &stats, &error));
  OK(treering_text_get(stats, &text, &len, &error));
  CHECK(len > 2 && text[0] == '{' && text[len - 1] == '}');
  OK(treering_text_free(stats, &error));
  FAILS(TREERING_ERROR_HANDLE, treering_text_get(stats, &text, &len, &error));
  OK(treering_close(db, &error));
  /* The copy is a database of its own. */
  OK(treering_open(copy, strlen(copy), &options, &db, &error));
  OK(treering_close(db, &error));
}

#define THREADS 8
#define ROUNDS 200

struct worker {
  treering_db db;
  int number;
  int failed;
};

static void *work(void *argument) {
  struct worker *worker = argument;
  char host[16];
  treering_label labels[] = {{TREERING_STRING("__name__"), TREERING_STRING("load")},
                             {TREERING_STRING("host"), {NULL, 0}}};
  treering_error failure = {0};
  treering_series series;
  int round;
  snprintf(host, sizeof host, "h%d", worker->number);
  labels[1].value.text = host;
  labels[1].value.len = strlen(host);
  if (treering_series_open(worker->db, labels, 2, &series, &failure) != TREERING_OK)
    worker->failed++;
  for (round = 0; round < ROUNDS; round++) {
    const int64_t time = round;
    const double value = worker->number;
    treering_columns columns = no_columns();
    treering_result result;
    if (treering_append_batch(worker->db, &series, &time, &value, 1, &failure) != TREERING_OK)
      worker->failed++;
    if (round % 20 != 0)
      continue;
    if (treering_select(worker->db, TREERING_TEXT("load"), 0, ROUNDS, NULL, &result, NULL) != TREERING_OK)
      worker->failed++;
    while (treering_result_next(result, &columns, NULL) == TREERING_OK)
      if (columns.len == 0 || columns.len > ROUNDS)
        worker->failed++;
    if (treering_result_free(result, NULL) != TREERING_OK)
      worker->failed++;
    /* An error of its own for each thread. */
    if (treering_select(worker->db, TREERING_TEXT("{"), 0, 1, NULL, &result, &failure) != TREERING_ERROR_LABELS)
      worker->failed++;
    if (treering_error_free(failure) != TREERING_OK)
      worker->failed++;
  }
  if (treering_series_free(series, NULL) != TREERING_OK)
    worker->failed++;
  return NULL;
}

static void threads(void) {
  pthread_t handles[THREADS];
  struct worker workers[THREADS];
  treering_options options = small_options();
  treering_columns columns = no_columns();
  treering_result result;
  treering_db db;
  int i;
  int series = 0;
  OK(treering_open_in_memory(&options, &db, &error));
  for (i = 0; i < THREADS; i++) {
    workers[i].db = db;
    workers[i].number = i;
    workers[i].failed = 0;
    CHECK(pthread_create(&handles[i], NULL, work, &workers[i]) == 0);
  }
  for (i = 0; i < THREADS; i++) {
    CHECK(pthread_join(handles[i], NULL) == 0);
    CHECK(workers[i].failed == 0);
  }
  OK(treering_select(db, TREERING_TEXT("load"), 0, ROUNDS, NULL, &result, &error));
  while (treering_result_next(result, &columns, NULL) == TREERING_OK) {
    CHECK(columns.len == ROUNDS && columns.values[0] == series);
    series++;
  }
  CHECK(series == THREADS);
  OK(treering_result_free(result, &error));
  OK(treering_close(db, &error));
}

int main(int count, char **words) {
  if (count != 2) {
    fprintf(stderr, "give a folder that is not there yet\n");
    return 2;
  }
  CHECK(treering_abi_version() == TREERING_ABI_VERSION);
  CHECK(strlen(treering_version()) >= 5);
  CHECK(strcmp(treering_error_message(error), "no error") == 0);
  on_disk(words[1]);
  threads();
  if (failures == 0)
    printf("C %ld: every function, %d threads: all well\n", (long)__STDC_VERSION__, THREADS);
  return failures != 0;
}
