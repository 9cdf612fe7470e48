package cli

import (
	"fmt"
	"path/filepath"

	"dmasim/sim/report"
)

// checkPicture refuses names of pictures that do not say what they are.
func checkPicture(path string) error {
	if ext := filepath.Ext(path); path != "" && ext != ".png" && ext != ".svg" {
		return fmt.Errorf("--picture %s: want a name that ends in .png or .svg", path)
	}
	return nil
}

// writeFigure writes a figure, as its name ends.
func writeFigure(path string, figure *report.Figure) error {
	write := figure.WritePNG
	if filepath.Ext(path) == ".svg" {
		write = figure.WriteSVG
	}
	if err := writeWhole(path, write); err != nil {
		return failedRun{fmt.Errorf("write %s: %w", path, err)}
	}
	return nil
}
