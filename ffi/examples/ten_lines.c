/* Ten lines of Treering: cc ten_lines.c $(pkg-config --cflags --libs treering) -o ten_lines && ./ten_lines DIR */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <treering.h>

int main(int count, char **words) {
  const char *dir = count > 1 ? words[1] : "treering-example";
  const treering_label cpu[] = {{TREERING_STRING("__name__"), TREERING_STRING("cpu")},
                                {TREERING_STRING("host"), TREERING_STRING("a")}};
  treering_db db = {0};
  treering_result found = {0};
  treering_columns columns = {0};
  treering_error error = {0};
  columns.size = sizeof columns;

  if (treering_open(dir, strlen(dir), NULL, &db, &error) == TREERING_OK &&
      treering_append(db, cpu, 2, 1700000000000000000, 0.7, &error) == TREERING_OK &&
      treering_select(db, TREERING_TEXT("cpu{host=~\"a.*\"}"), INT64_MIN, INT64_MAX, NULL, &found, &error) ==
          TREERING_OK)
    while (treering_result_next(found, &columns, &error) == TREERING_OK)
      for (size_t i = 0; i < columns.len; i++)
        printf("%" PRId64 " %g\n", columns.timestamps[i], columns.values[i]);

  if (error.id != 0)
    fprintf(stderr, "%s\n", treering_error_message(error));
  treering_result_free(found, NULL);
  treering_error_free(error);
  return treering_close(db, NULL) != TREERING_OK;
}
