// The header in C++17: it compiles, links and answers.
#include <treering.h>

#include <string>
#include <type_traits>

static_assert(sizeof(treering_db) == 8, "a handle is one id");
static_assert(std::is_trivially_copyable<treering_error>::value, "a handle is plain data");

int main() {
  treering_options options{};
  options.size = sizeof options;
  options.memory_bytes = 16u << 20;
  treering_error error{};
  treering_db db{};
  if (treering_open_in_memory(&options, &db, &error) != TREERING_OK)
    return 1;
  const treering_label labels[] = {{TREERING_STRING("__name__"), TREERING_STRING("cpu")}};
  if (treering_append(db, labels, 1, 1, 0.7, &error) != TREERING_OK)
    return 2;
  treering_result result{};
  const std::string selector = "cpu";
  if (treering_select(db, selector.data(), selector.size(), 0, 9, nullptr, &result, &error) != TREERING_OK)
    return 3;
  treering_columns columns{};
  columns.size = sizeof columns;
  if (treering_result_next(result, &columns, &error) != TREERING_OK || columns.len != 1)
    return 4;
  if (treering_result_free(result, &error) != TREERING_OK)
    return 5;
  return treering_close(db, &error) == TREERING_OK ? 0 : 6;
}
