package detectors

// law is a table of quantiles for scores whose law no theory gives, the lowest first, from 0 on. Between its entries it is linear, and goes
// on as it ends.
type law []struct{ score, decades float64 }

func (l law) decades(score float64) float64 {
	i := 1
	for i < len(l)-1 && score > l[i].score {
		i++
	}
	a, b := l[i-1], l[i]
	return a.decades + (min(max(score, 0), MaxScore)-a.score)*(b.decades-a.decades)/(b.score-a.score)
}

func (l law) score(decades float64) float64 {
	i := 1
	for i < len(l)-1 && decades > l[i].decades {
		i++
	}
	a, b := l[i-1], l[i]
	return min(a.score+(max(decades, 0)-a.decades)*(b.score-a.score)/(b.decades-a.decades), MaxScore)
}
