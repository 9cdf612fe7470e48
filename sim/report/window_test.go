package report_test

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"image/png"
	"strings"
	"testing"
	"time"

	"dmasim/sim"
	"dmasim/sim/explain"
	"dmasim/sim/explain/dmesg"
	"dmasim/sim/report"
	"dmasim/sim/scenario"
)

// explained asks an embedded scenario at some time.
func explained(t *testing.T, name string, q explain.Question) *explain.Explanation {
	t.Helper()
	sc, err := scenario.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	v := &sc.Variants[0]
	e, err := explain.WhatIf(context.Background(), func() (sim.Config, error) { return v.Build(v.Spec.Seed) }, q)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestWindow draws the heap of a failed request: as many strips as there is to
// see, every client in its colour, and a frame around what is in the way.
func TestWindow(t *testing.T) {
	e := explained(t, "cedar-256mib", explain.Question{At: 30 * time.Second, Payload: 900 << 20})
	figure, ok := report.Window(e)
	if !ok {
		t.Fatal("there is nothing to draw")
	}
	var picture, vector bytes.Buffer
	if err := figure.WritePNG(&picture); err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(&picture)
	if err != nil {
		t.Fatal(err)
	}
	colours := map[color.RGBA]int{}
	for y := range img.Bounds().Dy() {
		for x := range img.Bounds().Dx() {
			colours[color.RGBAModel.Convert(img.At(x, y)).(color.RGBA)]++
		}
	}
	for name, want := range map[string]color.RGBA{
		"vermillion": {R: 0xD5, G: 0x5E, A: 255}, "blue": {G: 0x72, B: 0xB2, A: 255}, "black": {A: 255}, "white": {R: 255, G: 255, B: 255, A: 255},
	} {
		if colours[want] < 500 {
			t.Errorf("%d dots are %s", colours[want], name)
		}
	}
	// Nothing is cut at the sides.
	for _, side := range []image.Rectangle{image.Rect(0, 0, 4, img.Bounds().Dy()), image.Rect(img.Bounds().Dx()-4, 0, img.Bounds().Dx(), img.Bounds().Dy())} {
		for y := side.Min.Y; y < side.Max.Y; y++ {
			for x := side.Min.X; x < side.Max.X; x++ {
				if r, g, b, _ := img.At(x, y).RGBA(); r&g&b != 0xffff {
					t.Fatalf("something is drawn at the side, at %d, %d", x, y)
				}
			}
		}
	}
	if err := figure.WriteSVG(&vector); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"the heap, 1GiB", "in the way", "900MiB asked for", "cause: exhausted", "0x60000000"} {
		if !strings.Contains(vector.String(), text) {
			t.Errorf("the drawing does not say %q", text)
		}
	}
}

// TestWindowOfPages: where single pages are taken there is no window.
func TestWindowOfPages(t *testing.T) {
	e := explained(t, "pin-all-ram", explain.Question{At: 10 * time.Second, Payload: 1 << 20})
	if _, ok := report.Window(e); ok {
		t.Error("there is something to draw")
	}
}

// TestLoggedArea draws the area of a kernel log that says where it is free.
func TestLoggedArea(t *testing.T) {
	const failed = "cma: __cma_alloc: reserved: alloc failed, req-size: 300 pages, ret: -12\n"
	log, err := dmesg.Read(strings.NewReader(failed + "cma: number of available pages: 16@80+144@112+256@512=> 416 free of 1024 total pages\n" + failed))
	if err != nil {
		t.Fatal(err)
	}
	figure, ok := report.LoggedArea(&log.Failures[0])
	if !ok {
		t.Fatal("there is nothing to draw")
	}
	var vector bytes.Buffer
	if err := figure.WriteSVG(&vector); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"CMA area reserved, asked for 1.17MiB (cause: fragmented)", "the area, 4MiB", "longest free run, 1MiB", "in the way"} {
		if !strings.Contains(vector.String(), text) {
			t.Errorf("the drawing does not say %q", text)
		}
	}
	if _, ok := report.LoggedArea(&log.Failures[1]); ok {
		t.Error("drawn without a list of free pages")
	}
}
