#include "core/position_index.h"

#include <algorithm>
#include <utility>

namespace larder {

void PositionIndex::Insert(uint64_t hash, uint32_t position) {
  if ((used_ + 1) * 5 > cells_.size() * 4) Grow();
  Place({position, TagOf(hash)});
  ++used_;
}

size_t PositionIndex::CellOf(uint64_t hash, uint32_t position) const {
  size_t i = HomeOf(TagOf(hash));
  while (cells_[i].position != position) i = After(i);
  return i;
}

void PositionIndex::Erase(uint64_t hash, uint32_t position) {
  size_t gap = CellOf(hash, position);
  for (size_t i = After(gap); cells_[i].position != kFree; i = After(i)) {
    // A cell may move back into the gap if that lies between where it belongs and where it is.
    if (Distance(HomeOf(cells_[i].tag), i) < Distance(gap, i)) continue;
    cells_[gap] = cells_[i];
    gap = i;
  }
  cells_[gap] = Cell();
  --used_;
}

void PositionIndex::Clear() {
  std::fill(cells_.begin(), cells_.end(), Cell());
  used_ = 0;
}

void PositionIndex::Place(Cell cell) {
  size_t i = HomeOf(cell.tag);
  while (cells_[i].position != kFree) i = After(i);
  cells_[i] = cell;
}

void PositionIndex::Grow() {
  constexpr size_t kFirstCells = 16;
  std::vector<Cell> grown(std::max(kFirstCells, cells_.size() + cells_.size() / 8));
  grown.swap(cells_);
  for (const Cell& cell : grown) {
    if (cell.position != kFree) Place(cell);
  }
}

}  // namespace larder
